-- What is counted by the clock of a boot (CLOCK_BOOTTIME, in microseconds), because the time of day may be set.

-- The uptime at which an attempt was opened; NULL where it is not known.
ALTER TABLE attempts ADD COLUMN started_uptime INTEGER;

-- A run that waits for the end of a span: the span, the boot in which it is counted, and the uptime of that
-- boot at its end. not_before is then the time of day that was expected for it. All NULL for a time of day.
ALTER TABLE queue ADD COLUMN delay INTEGER;
ALTER TABLE queue ADD COLUMN delay_boot TEXT;
ALTER TABLE queue ADD COLUMN delay_due INTEGER;
