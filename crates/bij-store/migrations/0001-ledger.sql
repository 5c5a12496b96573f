-- The ledger. Rows are ordered by their ids, never by a clock: clocks jump.

-- What must never go back is kept here and not counted anew, so that old attempts may be removed.
CREATE TABLE experiments (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    attempts    INTEGER NOT NULL DEFAULT 0,
    crashes     INTEGER NOT NULL DEFAULT 0,
    -- The newest attempt, and the newest one that has ended.
    newest      INTEGER REFERENCES attempts (id),
    newest_ended INTEGER,
    last_cause  TEXT,
    -- The progress (JSON) of the newest ended attempt that named a checkpoint.
    checkpoint_of INTEGER,
    checkpoint  TEXT
) STRICT;

CREATE TABLE crash_counts (
    experiment  INTEGER NOT NULL REFERENCES experiments (id),
    cause       TEXT    NOT NULL,
    crashes     INTEGER NOT NULL,
    PRIMARY KEY (experiment, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment  INTEGER NOT NULL REFERENCES experiments (id),
    number      INTEGER NOT NULL CHECK (number > 0),
    -- How it ended; null while it is open.
    ended_by    TEXT    CHECK (ended_by IN ('success', 'stopped', 'never', 'gave-up', 'cancelled')),
    UNIQUE (experiment, number)
) STRICT;

CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment  INTEGER NOT NULL REFERENCES experiments (id),
    run         INTEGER NOT NULL REFERENCES runs (id),
    number      INTEGER NOT NULL CHECK (number > 0),
    boot        TEXT    NOT NULL,
    invocation  TEXT    NOT NULL,
    -- Microseconds since 1970-01-01 00:00 UTC.
    started     INTEGER NOT NULL,
    ready       INTEGER,
    ended       INTEGER,
    cause       TEXT,
    crash       INTEGER NOT NULL DEFAULT 0 CHECK (crash IN (0, 1)),
    evidence    TEXT    CHECK (json_valid(evidence)),
    UNIQUE (boot, invocation),
    UNIQUE (run, number),
    CHECK ((ended IS NULL) = (cause IS NULL) AND (ended IS NULL) = (evidence IS NULL)),
    CHECK (ended IS NOT NULL OR crash = 0)
) STRICT;

CREATE INDEX attempts_of_experiment ON attempts (experiment);
CREATE INDEX attempts_open ON attempts (id) WHERE ended IS NULL;

-- Boots that ended in good order.
CREATE TABLE boots (
    id          TEXT    PRIMARY KEY,
    ended       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What has ended stays as it is, whoever writes.

CREATE TRIGGER attempt_begins_open BEFORE INSERT ON attempts
WHEN NEW.ended IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an attempt is opened before it ends');
END;

CREATE TRIGGER attempt_ended_is_final BEFORE UPDATE ON attempts
WHEN OLD.ended IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an attempt that has ended is never changed');
END;

CREATE TRIGGER attempt_keeps_its_place BEFORE UPDATE OF
    id, experiment, run, number, boot, invocation, started ON attempts
BEGIN
    SELECT RAISE(ABORT, 'an attempt keeps its place and its key');
END;

CREATE TRIGGER attempt_newest_stays BEFORE DELETE ON attempts
WHEN OLD.ended IS NULL OR EXISTS (SELECT 1 FROM experiments WHERE newest = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'open attempts and the newest of an experiment are never removed');
END;

CREATE TRIGGER run_ended_is_final BEFORE UPDATE ON runs
WHEN OLD.ended_by IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a run that has ended is never changed');
END;

CREATE TRIGGER counters_never_go_back BEFORE UPDATE OF attempts, crashes ON experiments
WHEN NEW.attempts < OLD.attempts OR NEW.crashes < OLD.crashes
BEGIN
    SELECT RAISE(ABORT, 'counters never go back');
END;

-- Counters follow the rows.

CREATE TRIGGER attempt_is_counted AFTER INSERT ON attempts
BEGIN
    UPDATE experiments SET attempts = attempts + 1, newest = NEW.id WHERE id = NEW.experiment;
END;

CREATE TRIGGER attempt_end_is_known AFTER UPDATE OF ended ON attempts
WHEN NEW.ended IS NOT NULL
BEGIN
    UPDATE experiments SET newest_ended = NEW.id, last_cause = NEW.cause
    WHERE id = NEW.experiment AND coalesce(newest_ended, 0) < NEW.id;

    UPDATE experiments
    SET checkpoint_of = NEW.id, checkpoint = json_extract(NEW.evidence, '$.progress')
    WHERE id = NEW.experiment AND coalesce(checkpoint_of, 0) < NEW.id
        AND json_extract(NEW.evidence, '$.progress.checkpoint') IS NOT NULL;
END;

CREATE TRIGGER crash_is_counted AFTER UPDATE OF ended ON attempts
WHEN NEW.crash = 1
BEGIN
    UPDATE experiments SET crashes = crashes + 1 WHERE id = NEW.experiment;

    INSERT INTO crash_counts (experiment, cause, crashes)
    VALUES (NEW.experiment, NEW.cause, 1)
    ON CONFLICT DO UPDATE SET crashes = crashes + 1;
END;
