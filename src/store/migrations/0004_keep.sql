-- When the main stream runs, as in the API.
ALTER TABLE cameras ADD COLUMN keep TEXT NOT NULL DEFAULT 'on_demand';
