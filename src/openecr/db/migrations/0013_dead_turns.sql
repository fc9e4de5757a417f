-- A schedule's turns that were given up are found by its key, when the next one ends.
CREATE INDEX job_dead_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'dead'
