-- When an authority came to the state that it has; none where it has it since it was made.
ALTER TABLE authorities ADD COLUMN moved BIGINT;
-- Under which roots a node lives, as it said last: JSON.
ALTER TABLE nodes ADD COLUMN standing TEXT;
