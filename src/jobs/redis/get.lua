-- ARGV: a job's id. Answers what clients may see of it.
return call('HMGET', job(ARGV[1]),
    'kind', 'status', 'attempts', 'created', 'started', 'finished', 'error', 'result')
