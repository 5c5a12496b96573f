-- How a run wants the clocks of the board while it is up: 'max', or NULL for as they are.
ALTER TABLE queue ADD COLUMN clocks TEXT;
