-- What is kept of the board.

-- What the board went through while an attempt lived. There is no row where nobody watched all of the
-- life, and null where the board has no such sensor: never a guess.
CREATE TABLE attempt_boards (
    attempt         INTEGER PRIMARY KEY REFERENCES attempts (id) ON DELETE CASCADE,
    zone            TEXT,
    millicelsius    INTEGER,
    millijoules     INTEGER,
    -- Microseconds.
    throttled       INTEGER,
    over_current    INTEGER,
    CHECK ((zone IS NULL) = (millicelsius IS NULL))
) STRICT;

CREATE TRIGGER attempt_board_comes_after_the_end BEFORE INSERT ON attempt_boards
WHEN (SELECT ended FROM attempts WHERE id = NEW.attempt) IS NULL
BEGIN
    SELECT RAISE(ABORT, 'what the board went through is known when the attempt has ended');
END;

CREATE TRIGGER attempt_board_is_final BEFORE UPDATE ON attempt_boards
BEGIN
    SELECT RAISE(ABORT, 'what the board went through is never changed');
END;

-- Samples, thinned to a row a minute. The newest are kept by their number: clocks jump.
CREATE TABLE board_minutes (
    id              INTEGER PRIMARY KEY,
    -- Microseconds since 1970-01-01 00:00 UTC, and how many of them it covers.
    at              INTEGER NOT NULL,
    span            INTEGER NOT NULL,
    samples         INTEGER NOT NULL,
    zone            TEXT,
    zone_max        INTEGER,
    celsius_min     INTEGER,
    celsius_mean    INTEGER,
    celsius_max     INTEGER,
    power_min       INTEGER,
    power_mean      INTEGER,
    power_max       INTEGER,
    -- Hundredths of a percent.
    gpu_load        INTEGER,
    available       INTEGER,
    -- Samples.
    throttled       INTEGER
) STRICT;
