-- The detection of motion in the camera's pictures, as JSON; see `camera::motion`.
ALTER TABLE cameras ADD COLUMN motion TEXT NOT NULL DEFAULT '{"source":"off"}';
