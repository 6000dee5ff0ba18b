//! `grid help environment`: every environment variable that grid reads.

/// An environment variable and its effect.
struct Variable {
    name: &'static str,
    effect: &'static str,
}

/// A group of variables on the page.
struct Group {
    title: &'static str,
    variables: &'static [Variable],
}

const fn variable(name: &'static str, effect: &'static str) -> Variable {
    Variable { name, effect }
}

const GROUPS: [Group; 5] = [
    Group {
        title: "Defaults of options",
        variables: &[
            variable("GRID_RUNS_DIR", "folder of the results and of runs.db (--runs-dir)"),
            variable("GRID_DATABASE_DIR", "folder of runs.db, if it is another one (--database-dir)"),
            variable(
                "GRID_DATABASE_WAIT",
                "seconds for which a run waits for a runs.db that another program has locked; by default 600",
            ),
            variable("GRID_OFFLINE", "if true, do not use the network (--offline)"),
            variable("GRID_DATA", "folder of the official evaluation data (grid eval --data)"),
        ],
    },
    Group {
        title: "Output",
        variables: &[
            variable(
                "GRID_LOG",
                "log filter of grid and of its workers, such as `debug` or `grid=debug,warn`; wins over -v and -q",
            ),
            variable("NO_COLOR", "if set to any text, print no colours"),
            variable("TERM", "`dumb` means no colours, and progress as lines"),
        ],
    },
    Group {
        title: "Data from other machines",
        variables: &[
            variable("GRID_CACHE", "folder of fetched data; by default grid in XDG_CACHE_HOME, or ~/.cache/grid"),
            variable("XDG_CACHE_HOME", "folder of the caches of all programs; by default ~/.cache"),
            variable("HOME", "home folder, which holds the default caches"),
            variable("OSF_ENDPOINT", "address of the OSF interface, or of a mirror"),
            variable("HF_ENDPOINT", "address of the Hugging Face Hub, or of a mirror"),
            variable("HF_TOKEN", "access token for the Hugging Face Hub, which workers do not get"),
            variable("HF_TOKEN_PATH", "file with the access token; by default `token` in HF_HOME"),
            variable("HF_HOME", "folder of Hugging Face's own files; by default ~/.cache/huggingface"),
            variable("HF_HUB_CACHE", "folder of models that other tools fetched; by default `hub` in HF_HOME"),
            variable("HTTPS_PROXY", "proxy for downloads; HTTP_PROXY, ALL_PROXY and NO_PROXY are read as well"),
        ],
    },
    Group {
        title: "Workers",
        variables: &[
            variable("GRID_WORKER", "path of the worker program; by default grid-worker beside grid"),
            variable("CUDA_VISIBLE_DEVICES", "the GPUs that grid may use"),
            variable(
                "GRID_MKL_AMD",
                "1 lets MKL use its fast kernels on every AMD CPU, 0 on none; by default on those with AVX-512",
            ),
            variable("OMP_NUM_THREADS", "set by grid for each worker: its number of threads"),
            variable(
                "GOMP_SPINCOUNT",
                "how long waiting threads spin; if neither it nor OMP_WAIT_POLICY is set, grid adapts",
            ),
            variable("OMP_WAIT_POLICY", "whether waiting threads spin or sleep; see GOMP_SPINCOUNT"),
            variable(
                "SLURM_CONF",
                "configuration of Slurm; other variables of Slurm are removed before its programs start",
            ),
        ],
    },
    Group {
        title: "Tests",
        variables: &[variable(
            "GRID_INJECT",
            "faults to inject into training jobs: kills=N, seed=N, memory=ROWS@STEP, perturb_on_resume; separated by commas",
        )],
    },
];

/// The page.
pub(super) fn page() -> String {
    let names = GROUPS.iter().flat_map(|group| group.variables).map(|variable| variable.name.len());
    let width = names.max().unwrap_or_default();
    let group = |Group { title, variables }: &Group| {
        let line = |Variable { name, effect }: &Variable| format!("  {name:width$}  {effect}\n");
        format!("{title}:\n{}", variables.iter().map(line).collect::<String>())
    };
    GROUPS.iter().map(group).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Beginnings of the names that count as environment variables wherever they appear.
    const PREFIXES: [&str; 7] = ["GRID_", "HF_", "OSF_", "XDG_", "CUDA_", "OMP_", "NO_COLOR"];
    /// Calls whose argument is the name of an environment variable.
    const CALLS: [&str; 5] = ["env::var(", "env::var_os(", "env = ", "folder(", "option_env!("];
    /// Read when grid is built, not when it runs.
    const BUILD: [&str; 1] = ["GRID_COMMIT"];

    fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Tests have variables of their own.
            if ["tests", "golden"].iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            if path.is_dir() {
                sources(&path, files);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }

    /// The environment variables that a source names outside of its tests.
    fn variables(text: &str) -> BTreeSet<String> {
        let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let mut found = BTreeSet::new();
        let is_name = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        };
        for line in lines {
            let literals = line.split('"').skip(1).step_by(2);
            let prefixed = literals.filter(|text| PREFIXES.iter().any(|prefix| text.starts_with(prefix)));
            let arguments = CALLS.iter().flat_map(|call| line.split(call).skip(1));
            let arguments = arguments.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
            found.extend(prefixed.chain(arguments).filter(|text| is_name(text)).map(str::to_owned));
        }
        found
    }

    #[test]
    fn every_variable_that_the_sources_read_is_on_the_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = vec![];
        sources(&root.join("src"), &mut files);
        sources(&root.join("worker/src"), &mut files);
        let page = page();
        let is_listed = |name: &str| page.split_whitespace().any(|word| word == name) || BUILD.contains(&name);
        let mut missing = vec![];
        for file in files.iter().filter(|file| !file.ends_with("cli/environment.rs")) {
            let names = variables(&fs::read_to_string(file).unwrap());
            let unlisted = names.iter().filter(|name| !is_listed(name));
            missing.extend(unlisted.map(|name| format!("{}: {name}", file.display())));
        }
        assert!(missing.is_empty(), "not in src/cli/environment.rs:\n{}", missing.join("\n"));
    }

    #[test]
    fn the_scan_finds_variables() {
        let text = "// GRID_COMMENT\nlet a = std::env::var(\"ANY\");\nlet b = set(\"HF_TOKEN\");\nlet c = \"TIMEOUT\";\n\
                    #[arg(env = \"GRID_DATA\", value_name = \"DIR\")]\n\n#[cfg(test)]\nmod tests {\n    var(\"GRID_SHARED\")\n}\n";
        let found: Vec<String> = variables(text).into_iter().collect();
        assert_eq!(found, ["ANY", "GRID_DATA", "HF_TOKEN"]);
    }
}
