-- May this caller ask this model, with this path and this many bytes: the same questions for the door, which asks them
-- when the address names the model, and for the target, which asks them when the body does.

-- OpenTelemetry's names of what is asked, for the access log.
OPERATIONS = {
  ["/v1/chat/completions"] = "chat",
  ["/v1/completions"] = "text_completion",
  ["/v1/embeddings"] = "embeddings",
  ["/v1/responses"] = "chat",
  ["/v1/rerank"] = "rerank",
}

-- True when its access names the caller of a model, or of a route; refuses otherwise.
function lets_in(handle, call, target, model)
  local who, from = call.caller, call.caller_namespace or ""
  local open = model.allow[who] or (from ~= "" and model.allow["ns:" .. from])
  if not open then
    refuse(handle, call, {
      status = 403,
      cause = "not-allowed",
      type = "permission_error",
      code = "model_access_denied",
      param = "model",
      message = who .. " may not use model " .. target .. ": its spec.access does not name this caller"
        .. (from ~= "" and " or namespace " .. from or "") .. ".",
    })
    return false
  end
  return true
end

-- True when it answers anybody; refuses otherwise.
function answering(handle, call, target, model)
  if model.stopped then
    refuse(handle, call, {
      status = 503,
      cause = "stopped",
      type = "server_error",
      code = "inference_stopped",
      message = "An administrator has stopped inference with model " .. target .. ": requests are refused, and none is"
        .. " held, until it is allowed again. Ask those who run this cluster (slm boundary status says why, slm boundary"
        .. " unseal undoes it).",
    })
    return false
  end
  if model.off then
    refuse(handle, call, {
      status = 503,
      cause = "off",
      type = "server_error",
      code = "model_off",
      message = "Model " .. target .. " is switched off and not woken by requests: it is suspended (spec.suspend: false"
        .. " resumes it) or has no replicas (spec.replicas: 1 starts it).",
    })
    return false
  end
  if model.spent then
    refuse(handle, call, {
      status = 429,
      cause = "budget",
      type = "insufficient_quota",
      code = "budget_exhausted",
      headers = { ["x-should-retry"] = "false" },
      message = "The budget of model " .. target .. " for this month is used up: requests are refused until the next one."
        .. " Its owner can raise spec.scaling.objectives.cost.monthlyBudget.",
    })
    return false
  end
  return true
end

-- True when the model may be asked; refuses otherwise.
function allowed(handle, call, target, model)
  return lets_in(handle, call, target, model) and answering(handle, call, target, model)
end

-- bytes: of the body.
function suits(handle, call, target, model, path, bytes)
  if model.lacks[path] then
    refuse(handle, call, {
      status = 501,
      cause = "engine-lacks-it",
      code = "not_implemented",
      message = "The engine of model " .. target .. " does not serve " .. path .. " (spec.engine says what it serves).",
    })
    return false
  end
  if bytes > model.cap then
    refuse(handle, call, {
      status = 413,
      cause = "body-too-large",
      code = "request_too_large",
      message = "The body is larger than the " .. model.cap .. " bytes model " .. target
        .. " takes (spec.access.limits.maxBodyBytes).",
    })
    return false
  end
  return true
end
