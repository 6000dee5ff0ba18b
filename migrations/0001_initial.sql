-- An experiment: one spec, as it was planned last.
CREATE TABLE experiment (
    name TEXT NOT NULL PRIMARY KEY, -- name in the spec
    spec_path TEXT NOT NULL, -- file it was read from
    spec_text TEXT NOT NULL, -- content of that file
    overrides TEXT NOT NULL CHECK (json_valid(overrides)), -- JSON list of the `path=value` overrides of the command line
    created INTEGER NOT NULL -- when it was first planned, in milliseconds since 1970 UTC
) STRICT;

-- A cell of an experiment: one condition with one seed.
CREATE TABLE cell (
    id INTEGER NOT NULL PRIMARY KEY, -- number, kept when the experiment is planned again
    experiment TEXT NOT NULL REFERENCES experiment (name) ON DELETE CASCADE, -- the experiment
    position INTEGER NOT NULL, -- place in the order of the axes, from 0
    label TEXT NOT NULL, -- one word for the cell: `tiny/chat/merged/seed1`
    model TEXT NOT NULL, -- model axis
    dataset TEXT, -- dataset axis, names joined by `+`; NULL without tuning
    curriculum TEXT NOT NULL, -- curriculum axis; `pretrained` without tuning
    seed INTEGER NOT NULL, -- seed axis
    extra TEXT NOT NULL, -- further axes: `name=value` joined by a comma and a space; empty when there are none
    UNIQUE (experiment, label)
) STRICT;

-- A job: one unit of work, whose id is a hash of all that changes its result.
CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- identity, 32 hexadecimal digits
    kind TEXT NOT NULL CHECK (kind IN ('tokenizer', 'prepare', 'pretrain', 'import', 'tune', 'eval', 'finetune')), -- sort of work
    canonical TEXT NOT NULL CHECK (json_valid(canonical)), -- what is hashed into the id, as JSON
    label TEXT NOT NULL, -- name for people, that of the newest plan
    folder TEXT NOT NULL, -- folder of its attempts; relative paths start at the folder of the database
    created INTEGER NOT NULL, -- when it was first planned, in milliseconds since 1970 UTC
    current INTEGER REFERENCES attempt (id), -- the attempt that tells the state; NULL when it was never submitted
    result INTEGER REFERENCES attempt (id) -- the attempt whose scores, items and artifacts stand; NULL before the first success
) STRICT;

-- What a job needs: each of its parents.
CREATE TABLE job_parent (
    job TEXT NOT NULL REFERENCES job (id), -- the job
    parent TEXT NOT NULL REFERENCES job (id), -- a job that must be done before
    PRIMARY KEY (job, parent)
) STRICT, WITHOUT ROWID;

-- The jobs of an experiment, as it was planned last.
CREATE TABLE experiment_job (
    experiment TEXT NOT NULL REFERENCES experiment (name) ON DELETE CASCADE, -- the experiment
    position INTEGER NOT NULL, -- place in the order of the plan, from 0; parents come first
    job TEXT NOT NULL REFERENCES job (id), -- the job
    PRIMARY KEY (experiment, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX experiment_job_by_job ON experiment_job (job);

-- The jobs of a cell; a job that several cells share has a row for each.
CREATE TABLE cell_job (
    cell INTEGER NOT NULL REFERENCES cell (id) ON DELETE CASCADE, -- the cell
    job TEXT NOT NULL REFERENCES job (id), -- the job
    role TEXT NOT NULL, -- what the job is to the cell
    PRIMARY KEY (cell, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX cell_job_by_job ON cell_job (job);

-- One `grid run` or `grid resume`.
CREATE TABLE invocation (
    id INTEGER NOT NULL PRIMARY KEY, -- number, in order
    experiment TEXT NOT NULL REFERENCES experiment (name) ON DELETE CASCADE, -- the experiment
    command TEXT NOT NULL, -- command line
    host TEXT NOT NULL, -- host name
    version TEXT NOT NULL, -- version of grid
    git_commit TEXT, -- commit of the code that ran, where it is known
    started INTEGER NOT NULL, -- milliseconds since 1970 UTC
    ended INTEGER, -- milliseconds since 1970 UTC; NULL while it runs, or when it was killed
    outcome TEXT NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'failed', 'interrupted')) -- `failed` means that some jobs failed
) STRICT;
CREATE INDEX invocation_by_experiment ON invocation (experiment);

-- One attempt at a job: a submission, and once a worker has taken it up, a folder with a journal.
CREATE TABLE attempt (
    id INTEGER NOT NULL PRIMARY KEY, -- number, in order of submission
    job TEXT NOT NULL REFERENCES job (id), -- the job
    token TEXT NOT NULL, -- name of the submission
    folder TEXT, -- folder of the attempt, as `job.folder`; NULL before a worker has written to it
    state TEXT NOT NULL CHECK (state IN ('submitted', 'running', 'interrupted', 'lost', 'failed', 'done')), -- where it stands
    slot TEXT, -- device and number it was submitted to: `cpu/0`
    host TEXT, -- host name of the worker
    pid INTEGER, -- process id of the worker
    device TEXT, -- device of the worker: `cpu`, `cuda:0`
    threads INTEGER, -- threads of the worker
    micro_batch INTEGER, -- rows per forward pass of a training job; NULL for the whole batch. Halved after a failure for want of memory
    version TEXT, -- version of grid and of libtorch
    submitted INTEGER, -- milliseconds since 1970 UTC
    started INTEGER, -- milliseconds since 1970 UTC
    heard INTEGER, -- time of the last line of its journal, in milliseconds since 1970 UTC
    ended INTEGER, -- milliseconds since 1970 UTC; of a lost attempt, the last time it was heard of
    resumed_step INTEGER, -- optimiser steps that were already taken when it went on from a checkpoint
    progress_done INTEGER, -- units of work done (optimiser steps, documents, records or items)
    progress_total INTEGER, -- units of work in all
    failure TEXT CHECK (failure IN ('job', 'out_of_memory', 'non_finite', 'lost')), -- sort of failure, when failed
    message TEXT, -- why it failed or was lost
    warnings TEXT, -- warnings of its journal, one per line
    lines INTEGER NOT NULL DEFAULT 0, -- lines of its journal that are recorded
    UNIQUE (job, token, folder),
    CHECK ((failure IS NULL) = (state <> 'failed'))
) STRICT;
CREATE INDEX attempt_by_job ON attempt (job);

-- A checkpoint of a training job, or the copy of its model at a milestone, that was complete on disk when it was recorded.
CREATE TABLE checkpoint (
    job TEXT NOT NULL REFERENCES job (id), -- the training job
    attempt INTEGER NOT NULL REFERENCES attempt (id), -- the attempt that wrote it
    step INTEGER NOT NULL, -- optimiser steps taken
    tokens INTEGER NOT NULL, -- tokens trained on so far in this job
    words INTEGER NOT NULL, -- whitespace-separated words seen so far in this job
    path TEXT NOT NULL, -- folder, relative to that of the attempt
    weights TEXT NOT NULL, -- blake3 digest of the weights file
    milestone TEXT, -- milestone that a copy is kept for, such as `1000000-words`; NULL for a checkpoint to go on from
    at INTEGER NOT NULL, -- milliseconds since 1970 UTC
    PRIMARY KEY (job, attempt, path)
) STRICT, WITHOUT ROWID;

-- A number measured while a job ran.
CREATE TABLE metric (
    job TEXT NOT NULL REFERENCES job (id), -- the job
    name TEXT NOT NULL, -- `train_loss`, `validation_loss`, `learning_rate`, `gradient_norm`, `words`, `tokens`, ...
    step INTEGER NOT NULL, -- optimiser step, or 0
    value REAL, -- value; NULL stands for not-a-number
    PRIMARY KEY (job, name, step)
) STRICT, WITHOUT ROWID;

-- A score of a model. Those of `job.result` stand; others belong to attempts that have not succeeded.
CREATE TABLE score (
    id INTEGER NOT NULL PRIMARY KEY, -- number
    job TEXT NOT NULL REFERENCES job (id), -- the eval or finetune job
    attempt INTEGER NOT NULL REFERENCES attempt (id), -- the attempt that gave it
    suite TEXT NOT NULL, -- suite: `blimp`
    suite_version INTEGER NOT NULL, -- version of the suite
    task TEXT NOT NULL, -- task within the suite
    subtask TEXT, -- subtask; NULL for the task's official aggregate
    metric TEXT NOT NULL, -- `accuracy`, ...
    value REAL, -- value, accuracies in percent; NULL stands for not-a-number
    n INTEGER NOT NULL, -- items it rests on
    stderr REAL, -- standard error over items, in the value's unit
    chance REAL, -- what guessing gives, in the value's unit
    floor REAL, -- what a trivial strategy gives, in the value's unit
    ties INTEGER NOT NULL, -- items whose best candidates had exactly equal scores
    near_ties INTEGER NOT NULL, -- items whose two best candidates lie within 1e-4 nats, exact ties included
    nans INTEGER NOT NULL, -- items with a candidate whose score is not a number
    classes INTEGER, -- different classes among the predictions, 1 when the input decides nothing; NULL where items have no classes
    mode TEXT NOT NULL CHECK (mode GLOB 'compat*' OR mode GLOB 'fixed*') -- `compat`: the official rules, defects included; `fixed`: repaired; and the switches set otherwise, as in `fixed+ties=first`
) STRICT;
CREATE UNIQUE INDEX score_once ON score (job, attempt, task, coalesce(subtask, ''), metric);

-- The items of one subtask, as one eval or finetune job answered them.
CREATE TABLE item_group (
    id INTEGER NOT NULL PRIMARY KEY, -- number
    job TEXT NOT NULL REFERENCES job (id), -- the eval or finetune job
    suite TEXT NOT NULL, -- suite
    mode TEXT NOT NULL CHECK (mode GLOB 'compat*' OR mode GLOB 'fixed*'), -- rules
    task TEXT NOT NULL, -- task
    subtask TEXT NOT NULL, -- subtask
    UNIQUE (job, task, subtask)
) STRICT;

-- What a model did on one item.
CREATE TABLE item (
    item_group INTEGER NOT NULL REFERENCES item_group (id) ON DELETE CASCADE, -- job, task and subtask
    item INTEGER NOT NULL, -- row within the subtask's file, from 0
    chosen INTEGER NOT NULL, -- index of the chosen candidate, from 0
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)), -- whether the choice counts as right under the mode
    credit REAL NOT NULL, -- credit in 0..=1; a tie in `fixed` mode gives less than 1
    scores TEXT NOT NULL, -- JSON list of the candidates' log-probabilities, in nats; null stands for not-a-number
    PRIMARY KEY (item_group, item)
) STRICT, WITHOUT ROWID;

-- A file that a finished job left.
CREATE TABLE artifact (
    job TEXT NOT NULL REFERENCES job (id), -- the job
    path TEXT NOT NULL, -- path relative to `output/` in the folder of the attempt `job.result`
    bytes INTEGER NOT NULL, -- size
    digest TEXT NOT NULL, -- blake3 digest of the content
    PRIMARY KEY (job, path)
) STRICT, WITHOUT ROWID;

-- A training job that `grid verify resume` ran twice: straight, and killed and resumed several times.
CREATE TABLE verification (
    id INTEGER NOT NULL PRIMARY KEY, -- number, in order
    job TEXT NOT NULL CHECK (length(job) = 32), -- id of the training job, which need not be in an experiment
    kind TEXT NOT NULL CHECK (kind IN ('pretrain', 'tune')), -- sort of training
    label TEXT NOT NULL, -- name for people
    model TEXT NOT NULL, -- name of the model in the spec
    device TEXT NOT NULL, -- device: `cpu`, `cuda:0`
    precision TEXT NOT NULL CHECK (precision IN ('f32', 'bf16')), -- arithmetic
    threads INTEGER NOT NULL, -- threads of the worker
    kills INTEGER NOT NULL, -- how often it was killed
    seed INTEGER NOT NULL, -- `--seed`: where the kills fell
    difference TEXT, -- the first difference between the two; NULL where weights, optimiser, cursor, files and scores are the same bit by bit
    version TEXT NOT NULL, -- version of grid and of libtorch
    at INTEGER NOT NULL -- milliseconds since 1970 UTC
) STRICT;

-- One row per training job, device and number of threads that `grid verify resume` has checked: its newest verdict.
CREATE VIEW v_verifications AS
SELECT
    model AS model, -- name of the model in the spec
    kind AS kind, -- `pretrain` or `tune`
    device AS device, -- device: `cpu`, `cuda:0`
    precision AS precision, -- `f32` or `bf16`
    threads AS threads, -- threads of the worker
    iif(difference IS NULL, 'identical', 'different') AS verdict, -- whether the resumed training gave the same bit by bit
    difference AS difference, -- the first difference
    kills AS kills, -- how often it was killed
    label AS label, -- name for people
    job AS job, -- the training job
    version AS version, -- version of grid and of libtorch
    strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch') AS at -- when, UTC
FROM verification
WHERE id IN (SELECT max(id) FROM verification GROUP BY job, device, threads);

-- One row per cell and score: the numbers that stand. A job that several cells share appears in each.
CREATE VIEW v_scores AS
SELECT
    cell.experiment AS experiment, -- the experiment
    cell.label AS cell, -- the cell
    cell.model AS model, -- model axis
    cell.dataset AS dataset, -- dataset axis; NULL without tuning
    cell.curriculum AS curriculum, -- curriculum axis
    cell.seed AS seed, -- seed axis
    cell.extra AS extra, -- further axes: `name=value` joined by a comma and a space
    score.suite AS suite, -- suite
    score.task AS task, -- task
    score.subtask AS subtask, -- subtask; NULL for the task's official aggregate
    score.metric AS metric, -- `accuracy`, ...
    score.value AS value, -- value, accuracies in percent
    score.n AS n, -- items
    score.stderr AS stderr, -- standard error over items
    score.chance AS chance, -- what guessing gives
    score.floor AS floor, -- what a trivial strategy gives
    score.ties AS ties, -- exact ties
    score.near_ties AS near_ties, -- ties within 1e-4 nats
    score.nans AS nans, -- items with a not-a-number
    score.classes AS classes, -- different classes among the predictions; NULL where items have no classes
    score.mode AS mode, -- `compat` or `fixed`, and switches set otherwise: `fixed+ties=first`
    score.suite_version AS suite_version, -- version of the suite
    coalesce(job.canonical ->> '$.job.milestone.words' || '-words', job.canonical ->> '$.job.milestone.tokens' || '-tokens', 'final') AS checkpoint, -- which model was scored: `final`, or a milestone such as `1000000-words`
    CASE job.kind WHEN 'finetune' THEN CAST(job.canonical ->> '$.job.seed' AS INTEGER) END AS finetune_seed, -- seed of the fine-tuning; NULL for a score that needs none
    score.job AS job -- the eval or finetune job
FROM cell
JOIN cell_job ON cell_job.cell = cell.id
JOIN job ON job.id = cell_job.job
JOIN score ON score.job = job.id AND score.attempt = job.result;

-- One row per cell and item of the scores that stand.
CREATE VIEW v_items AS
SELECT
    cell.experiment AS experiment, -- the experiment
    cell.label AS cell, -- the cell
    cell.model AS model, -- model axis
    cell.dataset AS dataset, -- dataset axis; NULL without tuning
    cell.curriculum AS curriculum, -- curriculum axis
    cell.seed AS seed, -- seed axis
    cell.extra AS extra, -- further axes: `name=value` joined by a comma and a space
    coalesce(job.canonical ->> '$.job.milestone.words' || '-words', job.canonical ->> '$.job.milestone.tokens' || '-tokens', 'final') AS checkpoint, -- which model was scored: `final`, or a milestone such as `1000000-words`
    item_group.suite AS suite, -- suite
    item_group.mode AS mode, -- `compat` or `fixed`, and switches set otherwise: `fixed+ties=first`
    item_group.task AS task, -- task
    item_group.subtask AS subtask, -- subtask
    item.item AS item, -- row within the subtask's file, from 0
    item.chosen AS chosen, -- index of the chosen candidate
    item.correct AS correct, -- 1 when the choice counts as right
    item.credit AS credit, -- credit in 0..=1
    item.scores AS scores, -- JSON list of the candidates' log-probabilities, in nats
    item_group.job AS job -- the eval or finetune job
FROM cell
JOIN cell_job ON cell_job.cell = cell.id
JOIN job ON job.id = cell_job.job
JOIN item_group ON item_group.job = job.id
JOIN item ON item.item_group = item_group.id;

-- One row per ordered pair of cells of one experiment that agree on model, seed and further axes, and aggregate score of both final models, under one seed of the fine-tuning.
CREATE VIEW v_compare AS
SELECT
    a.experiment AS experiment, -- the experiment
    a.model AS model, -- model axis of both
    a.seed AS seed, -- seed axis of both
    a.extra AS extra, -- further axes of both
    x.suite AS suite, -- suite
    x.task AS task, -- task
    x.metric AS metric, -- `accuracy`, ...
    x.mode AS mode, -- `compat` or `fixed`, and switches set otherwise: `fixed+ties=first`
    x.finetune_seed AS finetune_seed, -- seed of the fine-tuning of both; NULL for scores that need none
    a.label AS cell_a, -- the cell that is compared with
    a.dataset AS dataset_a, -- its dataset
    a.curriculum AS curriculum_a, -- its curriculum
    x.value AS value_a, -- its value
    b.label AS cell_b, -- the cell that is compared
    b.dataset AS dataset_b, -- its dataset
    b.curriculum AS curriculum_b, -- its curriculum
    y.value AS value_b, -- its value
    y.value - x.value AS difference, -- value_b - value_a
    x.job AS job_a, -- eval or finetune job of cell_a
    y.job AS job_b -- eval or finetune job of cell_b
FROM cell AS a
JOIN cell AS b ON b.experiment = a.experiment AND b.model = a.model AND b.seed = a.seed AND b.extra = a.extra
    AND b.id <> a.id
JOIN v_scores AS x ON x.experiment = a.experiment AND x.cell = a.label AND x.subtask IS NULL AND x.checkpoint = 'final'
JOIN v_scores AS y ON y.experiment = b.experiment AND y.cell = b.label AND y.subtask IS NULL AND y.checkpoint = 'final'
    AND y.suite = x.suite AND y.task = x.task AND y.metric = x.metric AND y.mode = x.mode
    AND y.suite_version = x.suite_version AND y.finetune_seed IS x.finetune_seed;

-- One row per job, whichever experiments need it; times in milliseconds since 1970 UTC.
CREATE VIEW v_job_states AS
SELECT
    job.id AS job, -- the job
    job.kind AS kind, -- sort of work
    job.label AS label, -- name for people
    coalesce(current.state, 'waiting') AS state, -- `waiting`, or the state of the attempt that counts
    (SELECT count(*) FROM attempt WHERE attempt.job = job.id) AS attempts, -- attempts so far
    (SELECT min(started) FROM attempt WHERE attempt.job = job.id) AS started, -- start of the first attempt
    current.ended AS ended, -- end of the attempt that counts
    (SELECT sum(ended - started) / 1000.0 FROM attempt WHERE attempt.job = job.id) AS seconds, -- seconds of all attempts that have ended
    CAST(max(
        coalesce((SELECT max(tokens) FROM checkpoint WHERE checkpoint.job = job.id), 0),
        coalesce((SELECT max(value) FROM metric WHERE metric.job = job.id AND metric.name = 'tokens'), 0)
    ) AS INTEGER) AS tokens, -- tokens trained on
    coalesce(current.device, current.slot) AS device, -- device of the attempt that counts
    current.progress_done AS progress_done, -- units of work done
    current.progress_total AS progress_total, -- units of work in all
    coalesce(current.message, current.warnings) AS message, -- why it failed or was lost, or else its warnings
    job.folder AS folder -- folder of the job
FROM job
LEFT JOIN attempt AS current ON current.id = job.current;

-- One row per experiment and job.
CREATE VIEW v_jobs AS
SELECT
    experiment_job.experiment AS experiment, -- the experiment
    s.job AS job, -- the job
    s.kind AS kind, -- sort of work
    s.label AS label, -- name for people
    s.state AS state, -- `waiting`, `submitted`, `running`, `interrupted`, `lost`, `failed` or `done`
    s.attempts AS attempts, -- attempts so far
    strftime('%Y-%m-%dT%H:%M:%SZ', s.started / 1000, 'unixepoch') AS started, -- start of the first attempt, UTC
    strftime('%Y-%m-%dT%H:%M:%SZ', s.ended / 1000, 'unixepoch') AS ended, -- end of the attempt that counts, UTC
    s.seconds AS seconds, -- seconds of all attempts that have ended
    s.device AS device, -- device of the attempt that counts
    s.message AS message -- why it failed or was lost, or else its warnings
FROM experiment_job
JOIN v_job_states AS s ON s.job = experiment_job.job;

-- One row per experiment and kind of job: what it has cost so far. A shared job counts in every experiment.
CREATE VIEW v_cost AS
SELECT
    experiment_job.experiment AS experiment, -- the experiment
    s.kind AS kind, -- sort of work
    count(*) AS jobs, -- jobs
    sum(s.state = 'done') AS done, -- jobs that are done
    coalesce(sum(s.seconds), 0.0) AS seconds, -- seconds of all attempts that have ended
    sum(s.tokens) AS tokens -- tokens trained on
FROM experiment_job
JOIN v_job_states AS s ON s.job = experiment_job.job
GROUP BY experiment_job.experiment, s.kind;
