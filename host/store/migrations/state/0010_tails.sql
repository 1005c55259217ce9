-- Samples that are not in a chunk yet, of 256 series side by side: what came
-- between two checkpoints. Chunks are written once, when they are full.
create table series_tail (
    scope text not null,
    -- The number of the first of the series, over 256.
    band bigint not null,
    -- Counts the checkpoints that wrote tails.
    ordinal bigint not null,
    start bigint not null,
    finish bigint not null,
    sample_count bigint not null,
    -- Of so many series.
    series_count bigint not null,
    data blob not null,
    primary key (scope, band, ordinal)
);
create index series_tail_by_finish on series_tail (scope, finish);
