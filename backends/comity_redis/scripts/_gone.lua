-- The answer about a session `o` that does not live; `alive` is its deadline, if it was not ended yet, `lost` whether the
-- server has not all of it.
local why = call('HGET', IDS, o)
return {0, why and sub(why, 1, 1) == '!' and sub(why, 2) or lost and 'the server lost it' or alive and 'expired' or ''}
