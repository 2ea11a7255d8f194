-- SHA-256 fingerprint of the only certificate that is accepted from the camera's ONVIF service.
ALTER TABLE cameras ADD COLUMN onvif_certificate TEXT;
