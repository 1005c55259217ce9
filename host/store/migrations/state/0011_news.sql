-- What is news to the correlate stage, without what is not: who sends a past of
-- alerts has it looked through again in each round. The condition stands in the
-- queries word for word, or the index would not be used.
create index transition_news on transition (scope, position, ordinal)
    where outcome <> 'resolved-unseen';
