-- The queue: what a run asks for and where it stands while it is not over; and the log of all
-- changes.

-- When a run ended (microseconds since 1970-01-01 00:00 UTC), and who ended it, if not its last
-- attempt.
ALTER TABLE runs ADD COLUMN ended INTEGER;
ALTER TABLE runs ADD COLUMN ender TEXT;

-- A run is here exactly while it is not over.
CREATE TABLE queue (
    run          INTEGER PRIMARY KEY REFERENCES runs (id),
    experiment   INTEGER NOT NULL REFERENCES experiments (id),
    state        TEXT    NOT NULL CHECK (state IN ('waiting', 'held', 'starting', 'running')),
    -- Who holds it.
    holder       TEXT,
    -- The boot in which it was let start.
    boot         TEXT,
    priority     INTEGER NOT NULL DEFAULT 0,
    place        INTEGER NOT NULL,
    bypassed     INTEGER NOT NULL DEFAULT 0,
    group_name   TEXT    NOT NULL DEFAULT 'default',
    -- What it takes of the machine: bytes, or null where nothing limits it.
    memory       INTEGER,
    gpu          TEXT    NOT NULL DEFAULT 'none' CHECK (gpu IN ('none', 'shared', 'exclusive')),
    not_before   INTEGER,
    -- JSON; null is none.
    dependencies TEXT    CHECK (json_valid(dependencies)),
    now          INTEGER NOT NULL DEFAULT 0 CHECK (now IN (0, 1)),
    submitted    INTEGER NOT NULL,
    extras       TEXT    NOT NULL DEFAULT '',
    submitter    TEXT    NOT NULL,
    origin       TEXT    NOT NULL CHECK (origin IN ('submit', 'start')),
    CHECK ((state = 'held') = (holder IS NOT NULL)),
    CHECK ((state = 'starting') = (boot IS NOT NULL))
) STRICT;

-- A start asks for the first of its experiment's runs in a state. The only index: each costs every
-- submission a page.
CREATE INDEX queue_of_experiment ON queue (experiment, state, priority DESC, place);

-- What holds for all: one row. A new run's place is its id and this shift, which grows when a run
-- is moved behind all others, so that whatever comes later comes behind it.
CREATE TABLE admission (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    shift        INTEGER NOT NULL DEFAULT 0,
    paused_by    TEXT,
    paused_since INTEGER,
    CHECK ((paused_by IS NULL) = (paused_since IS NULL))
) STRICT;

INSERT INTO admission (id) VALUES (1);

CREATE TABLE run_groups (
    name         TEXT    PRIMARY KEY,
    slots        INTEGER CHECK (slots >= 0),
    paused_by    TEXT,
    paused_since INTEGER,
    CHECK ((paused_by IS NULL) = (paused_since IS NULL))
) STRICT, WITHOUT ROWID;

-- Names and not references: an event outlives what it is about.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    experiment   TEXT,
    run          INTEGER,
    attempt      INTEGER,
    -- A JSON object of texts; null is an empty one.
    data         TEXT    CHECK (json_valid(data))
) STRICT;

-- Runs that were open before there was a queue.
INSERT INTO queue (run, experiment, state, place, submitted, submitter, origin)
SELECT r.id, r.experiment, 'running', r.id,
    coalesce((SELECT min(started) FROM attempts WHERE run = r.id), 0), 'systemd', 'start'
FROM runs r WHERE r.ended_by IS NULL;

-- The queue follows attempts and runs, whoever writes them.

CREATE TRIGGER attempt_has_its_run_running AFTER INSERT ON attempts
BEGIN
    INSERT INTO queue (run, experiment, state, place, submitted, submitter, origin)
    SELECT r.id, r.experiment, 'running', r.id + a.shift, NEW.started, 'systemd', 'start'
    FROM runs r JOIN admission a WHERE r.id = NEW.run
    ON CONFLICT (run) DO UPDATE SET state = 'running', holder = NULL, boot = NULL
        WHERE state <> 'running';

    INSERT INTO events (at, kind, experiment, run, attempt)
    SELECT NEW.started, 'attempt-begun', e.name, r.number, NEW.number
    FROM runs r JOIN experiments e ON e.id = r.experiment WHERE r.id = NEW.run;
END;

CREATE TRIGGER attempt_end_is_told AFTER UPDATE OF ended ON attempts
WHEN NEW.ended IS NOT NULL
BEGIN
    INSERT INTO events (at, kind, experiment, run, attempt, data)
    SELECT NEW.ended, 'attempt-ended', e.name, r.number, NEW.number,
        json_patch('{}', json_object(
            'cause', NEW.cause,
            'code', CAST(json_extract(NEW.evidence, '$.exit.code') AS TEXT),
            'signal', CAST(coalesce(
                json_extract(NEW.evidence, '$.exit.signal'),
                json_extract(NEW.evidence, '$.exit."core-dump"')
            ) AS TEXT),
            'crash', iif(NEW.crash, 'true', NULL)
        ))
    FROM runs r JOIN experiments e ON e.id = r.experiment WHERE r.id = NEW.run;
END;

CREATE TRIGGER run_leaves_the_queue AFTER UPDATE OF ended_by ON runs
WHEN NEW.ended_by IS NOT NULL
BEGIN
    DELETE FROM queue WHERE run = NEW.id;

    INSERT INTO events (at, kind, experiment, run, data)
    SELECT coalesce(NEW.ended, unixepoch() * 1000000), 'run-ended', name, NEW.number,
        json_patch('{}', json_object('end', NEW.ended_by, 'by', NEW.ender))
    FROM experiments WHERE id = NEW.experiment;
END;

-- A few at a time, so that no single change pays for many.
CREATE TRIGGER events_are_kept_by_number AFTER INSERT ON events
WHEN NEW.seq % 64 = 0
BEGIN
    DELETE FROM events WHERE seq <= NEW.seq - 100000;
END;

-- What must hold, whoever writes.

CREATE TRIGGER queue_has_no_run_that_is_over BEFORE INSERT ON queue
WHEN (SELECT ended_by FROM runs WHERE id = NEW.run) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a run that has ended does not come back');
END;

CREATE TRIGGER queue_keeps_what_is_not_over BEFORE DELETE ON queue
WHEN (SELECT ended_by FROM runs WHERE id = OLD.run) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'a run leaves the queue when it ends');
END;

CREATE TRIGGER queue_keeps_its_runs BEFORE UPDATE OF run, experiment ON queue
BEGIN
    SELECT RAISE(ABORT, 'a run is of one experiment');
END;

CREATE TRIGGER run_keeps_its_number BEFORE UPDATE OF id, experiment, number ON runs
BEGIN
    SELECT RAISE(ABORT, 'a run keeps its number');
END;

CREATE TRIGGER run_newest_stays BEFORE DELETE ON runs
WHEN OLD.ended_by IS NULL
    OR OLD.number = (SELECT max(number) FROM runs WHERE experiment = OLD.experiment)
BEGIN
    SELECT RAISE(ABORT, 'open runs and the newest of an experiment are never removed');
END;

CREATE TRIGGER attempt_newest_of_a_run_stays BEFORE DELETE ON attempts
WHEN EXISTS (SELECT 1 FROM queue WHERE run = OLD.run)
    AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = OLD.run AND number > OLD.number)
BEGIN
    SELECT RAISE(ABORT, 'the newest attempt of a run that is not over is never removed');
END;

CREATE TRIGGER event_is_final BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'an event is never changed');
END;
