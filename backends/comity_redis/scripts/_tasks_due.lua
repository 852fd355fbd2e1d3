-- When the tasks want somebody next: `tasks_due` in ms, nil without. A claim's own time ends; or now, where a step has left
-- something to go on with, or the server lost a part (`_task_mending.lua`).
local line, tasks_due = call('ZRANGE', LINES, 0, 0)[1] or '', nil
local marked = call('HGET', TASKS, FS .. 'm')
if sub(line, 1, 2) == '0' .. FS
  or marked and not (call('ZSCORE', LINES, 'm' .. FS .. marked) and call('ZSCORE', OWN, FS .. 'm' .. FS .. marked)) then
  tasks_due = now
elseif sub(line, 1, 2) == '1' .. FS then
  tasks_due = tonumber(sub(line, 3, 16))
end
