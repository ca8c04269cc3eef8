-- How an object of Anabranch is, in Argo CD's words; the same for all of its kinds.

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "it was not looked at yet" }
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end

-- The order is that of kstatus.
local reconciling = conditions.Reconciling
if reconciling ~= nil and reconciling.status == "True" then
  return { status = "Progressing", message = reconciling.message }
end
-- Somebody has to change something. What has failed is stalled, too.
local stalled = conditions.Stalled
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end

local ready = conditions.Ready
if ready == nil then
  return { status = "Progressing", message = "it was not looked at yet" }
end
-- A survey that runs is healthy, however long it takes.
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
-- It waits because its own spec says so: by suspend or startAt.
if ready.reason == "Suspended" or ready.reason == "NotYet" then
  return { status = "Suspended", message = ready.message }
end
return { status = "Progressing", message = ready.message }
