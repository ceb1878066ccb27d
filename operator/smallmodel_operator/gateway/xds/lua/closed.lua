-- What stands in the listener: routes bring the filter's real text. A route without it must open nothing.
function envoy_on_request(handle)
  refuse(handle, {}, {
    status = 503,
    cause = "not-configured",
    type = "server_error",
    code = "unavailable",
    message = "The gateway has no configuration yet.",
    headers = { ["retry-after"] = "1" },
  })
end
