ALTER TABLE item ADD COLUMN cluster TEXT; -- key of the items of the task that share material, such as the questions about one paragraph; empty for an item that shares none; NULL when not known, as of items recorded by layout 1
-- Finds the jobs whose clusters are still to be filled in; empty once they are.
CREATE INDEX item_without_cluster ON item (item_group) WHERE cluster IS NULL;

DROP VIEW v_items;
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
    item_group.job AS job, -- the eval or finetune job
    CASE item.cluster WHEN '' THEN item_group.subtask || '#' || item.item ELSE item.cluster END AS cluster -- items of one task that share material have the same cluster; `subtask#item` for an item that shares none; NULL when not known
FROM cell
JOIN cell_job ON cell_job.cell = cell.id
JOIN job ON job.id = cell_job.job
JOIN item_group ON item_group.job = job.id
JOIN item ON item.item_group = item_group.id;

DROP VIEW v_compare;
-- One row per ordered pair of cells of one experiment that agree on model, seed and further axes, and aggregate score of both final models, under one seed of the fine-tuning. Pairs whose two sides are the same job, as where both cells share one model, are left out: they compare nothing.
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
    AND y.suite_version = x.suite_version AND y.finetune_seed IS x.finetune_seed
    AND y.job <> x.job;
