-- Whether the camera's video is to be analysed, for back ends.
ALTER TABLE cameras ADD COLUMN analytics INTEGER NOT NULL DEFAULT 0;
