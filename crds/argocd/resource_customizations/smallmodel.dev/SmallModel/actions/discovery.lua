actions = {}
actions["suspend"] = { ["disabled"] = obj.spec.suspend == true }
actions["resume"] = { ["disabled"] = obj.spec.suspend ~= true }
return actions
