-- The power mode of the board that a run wants, by name or number.
ALTER TABLE queue ADD COLUMN power TEXT;
