-- Who wants a run that is up stopped, which ends it.
ALTER TABLE queue ADD COLUMN stopper TEXT CHECK (stopper IS NULL OR state = 'running');
