ALTER TABLE score ADD COLUMN unscored INTEGER NOT NULL DEFAULT 0; -- items with a candidate of which no token is scored, whose log-probability is therefore 0

DROP VIEW v_scores;
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
    score.unscored AS unscored, -- items with a candidate of which nothing is scored
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
