-- Answers how many jobs wait, and how many are held.
return {redis.call('ZCARD', set.queued), redis.call('ZCARD', set.processing)}
