-- Answers how many jobs wait, and how many are held.
return {call('ZCARD', set.queued), call('ZCARD', set.processing)}
