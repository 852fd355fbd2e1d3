-- What every write of the state ends with.
mark(id, WITHDRAWN, version, PUBLISHED)
if now_us % 8 == 0 then
  for _, change in ipairs(expire(16)) do changes[#changes + 1] = change end
end
tell_changes(changes)
return {'W', version, now_us}
