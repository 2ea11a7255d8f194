-- The lowest number of each kind that is not reserved, by stream. The row with the empty id is for
-- streams without a row. Its first numbers come from the clock, because earlier versions of the manager
-- derived all numbers from the clock: four for each second since the beginning of 2025.
CREATE TABLE numbers (
    stream        TEXT   PRIMARY KEY NOT NULL,
    sequence      BIGINT NOT NULL,
    epoch         BIGINT NOT NULL,
    discontinuity BIGINT NOT NULL
);
INSERT INTO numbers (stream, sequence, epoch, discontinuity)
SELECT '', first, first, 0
FROM (SELECT MAX(0, (CAST(strftime('%s', 'now') AS INTEGER) - 1735689600) * 4) AS first);
