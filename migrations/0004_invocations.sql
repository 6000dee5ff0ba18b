ALTER TABLE invocation ADD COLUMN spec_path TEXT; -- file of the spec; NULL for invocations recorded by layout 3
ALTER TABLE invocation ADD COLUMN spec_text TEXT; -- content of that file; NULL as above
ALTER TABLE invocation ADD COLUMN overrides TEXT CHECK (json_valid(overrides)); -- JSON list of the `path=value` overrides of the command line; NULL as above
ALTER TABLE attempt ADD COLUMN invocation INTEGER REFERENCES invocation (id) ON DELETE SET NULL; -- invocation that submitted it; NULL when not known, as of attempts recorded by layout 3 or found in the folder of a job
ALTER TABLE artifact ADD COLUMN stamp TEXT CHECK (json_valid(stamp)); -- device, inode, length and times of the file when its digest was computed, as JSON; NULL when not known

-- One row per job with a result: the command that made it.
CREATE VIEW v_provenance AS
SELECT
    job.id AS job, -- the job
    job.kind AS kind, -- sort of work
    job.label AS label, -- name for people
    invocation.id AS invocation, -- number of the invocation; NULL when not known
    invocation.experiment AS experiment, -- experiment that it executed
    invocation.command AS command, -- command line
    invocation.spec_path AS spec_path, -- file of the spec
    invocation.spec_text AS spec_text, -- content of the spec
    invocation.overrides AS overrides, -- JSON list of the overrides of the command line
    invocation.host AS host, -- host name of the coordinator
    invocation.version AS version, -- version of grid
    invocation.git_commit AS git_commit, -- commit of the code, where it is known
    strftime('%Y-%m-%dT%H:%M:%SZ', invocation.started / 1000, 'unixepoch') AS started -- start of the invocation, UTC
FROM job
JOIN attempt ON attempt.id = job.result
LEFT JOIN invocation ON invocation.id = attempt.invocation;
