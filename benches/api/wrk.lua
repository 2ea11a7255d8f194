-- Requests the paths in a file in turn, and prints the results as JSON. The arguments are the file and an
-- optional API key.
local requests, next_request = {}, 0

function init(args)
  local headers = { ["Authorization"] = args[2] and ("Bearer " .. args[2]) or nil }
  for path in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"perSecond":%.0f,"p50":%d,"p99":%d,"p999":%d,"wrong":%d}\n',
    summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), failed))
end
