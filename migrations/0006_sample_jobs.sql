-- Jobs of the kinds `sample` and `teach`. SQLite cannot change a constraint, so the table is recreated; the references to
-- its rows are checked at the end of the transaction.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE job_of_layout_5 AS SELECT * FROM job;
DROP TABLE job;
CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- identity, 32 hexadecimal digits
    kind TEXT NOT NULL CHECK (kind IN ('tokenizer', 'prepare', 'pretrain', 'import', 'logprobs', 'sample', 'teach', 'tune', 'eval', 'finetune')), -- kind of job
    canonical TEXT NOT NULL CHECK (json_valid(canonical)), -- what is hashed into the id, as JSON
    label TEXT NOT NULL, -- name for people, that of the newest plan
    folder TEXT NOT NULL, -- folder of its attempts; relative paths start at the folder of the database
    created INTEGER NOT NULL, -- when it was first planned, in milliseconds since 1970 UTC
    current INTEGER REFERENCES attempt (id), -- the attempt that tells the state; NULL when it was never submitted
    result INTEGER REFERENCES attempt (id) -- the attempt whose scores, items and artifacts stand; NULL before the first success
) STRICT;
INSERT INTO job (id, kind, canonical, label, folder, created, current, result)
SELECT id, kind, canonical, label, folder, created, current, result FROM job_of_layout_5;
DROP TABLE job_of_layout_5;
