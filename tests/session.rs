//! What users read, as sessions at the terminal.

use crate::common::{Env, TINY, texts};

/// Runs the commands one after the other and returns what a terminal would show, standard error below standard output.
fn session(env: &Env, commands: &[&str]) -> String {
    let mut shown = String::new();
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = env.output(&arguments);
        let (stdout, stderr) = texts(&output);
        let code = output.status.code().expect("an exit code");
        let code = if code == 0 { String::new() } else { format!("[exit code {code}]\n") };
        shown += &format!("$ grid {command}\n{stdout}{stderr}{code}");
    }
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    lines.join("\n").replace(env.path().to_str().expect("UTF-8"), "[folder]")
}

/// Asserts an inline snapshot of a session without what differs between machines and runs.
macro_rules! assert_session {
    ($env:expr, $commands:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{10,64}", "[id]"),
            (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "[time]"),
            (r"\d+(\.\d+)? (ms|s|min|h)\b", "[duration]"),
            (r"\d+(\.\d+)? [kMG]?i?B\b", "[size]"),
            (r"\d+\.\d+", "#.#"),
        ]}, {
            insta::assert_snapshot!(session(&$env, $commands), @$expected);
        });
    };
}

#[test]
fn a_grid_is_planned_and_runs_once() {
    let env = Env::new(TINY);
    assert_session!(env, &["plan spec.yaml"], @"
    $ grid plan spec.yaml
    tiny: 8 cells (12 combinations, equal ones merged), 28 jobs; 58 without sharing

      kind       jobs  run  reuse  blocked  saved by sharing  of the work
      tokenizer     1    1      0        0                 7          4 %
      prepare       3    3      0        0                15         10 %
      pretrain      2    2      0        0                 6         11 %
      tune          6    6      0        0                 2         22 %
      eval         16   16      0        0                 0         53 %

      model  family  parameters  layers  hidden  heads  vocabulary
      nano   llama       58,528       2      32      2         400

      training stage       after      objective   jobs  units/epoch  words/epoch  tokens/epoch  epochs  steps/epoch  steps
      nano                            next token     2          106        5,411        ~7,575       -          ~30     60
      nano/chat            nano       sft            2          180        1,958        ~2,741       1           23     23
      nano/chat+questions  nano       sft            2          360        3,905        ~5,466       1           45     45
      nano/chat>questions  nano/chat  sft            2          180        1,947        ~2,725       1           23     23

      words of                  text               words  passes    seen  trained on
      pretrain nano             corpus speech      6,013    #.#  12,230      11,005
      tune nano/chat            dataset chat       2,176       1   2,176       1,958
      tune nano/chat+questions  dataset chat       2,176       1   2,176       1,958
      tune nano/chat+questions  dataset questions  2,164       1   2,164       1,947
      tune nano/chat>questions  dataset questions  2,164       1   2,164       1,947

      words of each model             different text    seen  trained on
      nano/pretrained                         10,353  12,230      11,005
      nano/chat/single                        10,353  14,406      12,963
      nano/chat+questions/merged              10,353  16,570      14,910
      nano/chat+questions/sequential          10,353  16,570      14,910

      job        id          what                                        decision
      tokenizer  [id]  vocabulary of 400                           Run (never ran)
      prepare    [id]  corpus speech, vocabulary of 400            Run (never ran)
      pretrain   [id]  nano/seed1                                  Run (never ran)
      eval       [id]  blimp nano/seed1                            Run (never ran)
      eval       [id]  blimp-supplement nano/seed1                 Run (never ran)
      pretrain   [id]  nano/seed2                                  Run (never ran)
      eval       [id]  blimp nano/seed2                            Run (never ran)
      eval       [id]  blimp-supplement nano/seed2                 Run (never ran)
      prepare    [id]  dataset chat, vocabulary of 400             Run (never ran)
      tune       [id]  nano/chat/seed1                             Run (never ran)
      eval       [id]  blimp nano/chat/seed1                       Run (never ran)
      eval       [id]  blimp-supplement nano/chat/seed1            Run (never ran)
      tune       [id]  nano/chat/seed2                             Run (never ran)
      eval       [id]  blimp nano/chat/seed2                       Run (never ran)
      eval       [id]  blimp-supplement nano/chat/seed2            Run (never ran)
      prepare    [id]  dataset questions, vocabulary of 400        Run (never ran)
      tune       [id]  nano/chat+questions/seed1                   Run (never ran)
      eval       [id]  blimp nano/chat+questions/seed1             Run (never ran)
      eval       [id]  blimp-supplement nano/chat+questions/seed1  Run (never ran)
      tune       [id]  nano/chat+questions/seed2                   Run (never ran)
      eval       [id]  blimp nano/chat+questions/seed2             Run (never ran)
      eval       [id]  blimp-supplement nano/chat+questions/seed2  Run (never ran)
      tune       [id]  nano/chat>questions/seed1                   Run (never ran)
      eval       [id]  blimp nano/chat>questions/seed1             Run (never ran)
      eval       [id]  blimp-supplement nano/chat>questions/seed1  Run (never ran)
      tune       [id]  nano/chat>questions/seed2                   Run (never ran)
      eval       [id]  blimp nano/chat>questions/seed2             Run (never ran)
      eval       [id]  blimp-supplement nano/chat>questions/seed2  Run (never ran)

    warning: some conditions have 2 seeds, which detect a difference in 8 of 10 experiments only if it is at least #.# to #.# points; 3 seeds detect #.# to #.# points, 5 seeds #.# to #.# (if scores have a standard deviation of 1 to 2 points over seeds, as is usual)
    ");
    env.run(0, &["run", "spec.yaml"]);
    assert_session!(env, &["run spec.yaml"], @"
    $ grid run spec.yaml
    tiny: nothing to do, all 28 jobs are done
    ");
}

#[test]
fn mistakes_are_reported_with_a_remedy() {
    let env = Env::new(&TINY.replace("hidden", "hiden").replace("seed: [1, 2]", "seed: [1, x]"));
    assert_session!(env, &["plan spec.yaml", "plan nothing.yaml", "report tiny", "resume", "frobnicate"], @"
    $ grid plan spec.yaml
    spec.yaml:9:10: unknown key 'hiden'
      help: did you mean 'hidden'?
    spec.yaml:15:13: an item of 'seed' must be a whole number of at least 0, not 'x'
      help: such as 1
    [exit code 1]
    $ grid plan nothing.yaml
    nothing.yaml: no such spec file
      help: there are: spec.yaml
    [exit code 1]
    $ grid report tiny
    grid: failed to find runs/runs.db: nothing has run here yet; start with `grid run SPEC`, or choose another folder with --runs-dir
    [exit code 4]
    $ grid resume
    grid: failed to find runs/runs.db: nothing has run here yet; start with `grid run SPEC`, or choose another folder with --runs-dir
    [exit code 4]
    $ grid frobnicate
    error: unrecognized subcommand 'frobnicate'

    Usage: grid [OPTIONS] <COMMAND>

    For more information, try '--help'.
    [exit code 1]
    ");
}
