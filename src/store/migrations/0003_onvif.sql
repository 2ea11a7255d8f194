-- URL of the camera's ONVIF service, by which it is asked for keyframes.
ALTER TABLE cameras ADD COLUMN onvif TEXT;
