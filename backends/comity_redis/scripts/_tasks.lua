-- Tasks (T1-T5). Made when they are first asked for, because most steps that include this have nothing to do
-- with them; a step that has ends with `tasks().commit()`, which `commit` does as well.
--@include _counter.lua

local tasks_made
local function tasks()
  if tasks_made then return tasks_made end
  local T = {}
  --@include _task_records.lua
  --@include _task_lines.lua
  --@include _task_mending.lua
  --@include _task_ends.lua
  tasks_made = T
  return T
end
