-- Health of a SmallModel or a ModelRoute from its kstatus conditions (Ready, Reconciling, Stalled). No Lua standard library is used.
hs = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and obj.status.observedGeneration < obj.metadata.generation then
  hs.message = "The newest change has not been seen by the operator yet"
  return hs
end
local seen = {}
for _, condition in ipairs(obj.status.conditions) do
  seen[condition.type] = condition
end
local ready, stalled, reconciling = seen["Ready"], seen["Stalled"], seen["Reconciling"]
if ready ~= nil then
  hs.message = ready.message
end
-- A failed new version beside a serving old one is Degraded too: a sync that did not take effect is not healthy.
if stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = stalled.message
  return hs
end
if ready ~= nil and (ready.reason == "Suspended" or ready.reason == "ScaledToZero"
    or ready.reason == "InferenceStopped") then
  hs.status = "Suspended"
  return hs
end
if reconciling ~= nil and reconciling.status == "True" then
  hs.status = "Progressing"
  hs.message = reconciling.message
  return hs
end
if ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
elseif ready ~= nil then
  hs.status = "Suspended" -- nothing is under way and nobody has to act: it is off because somebody wants it so
end
return hs
