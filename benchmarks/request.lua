-- Script for wrk: builds the request from environment variables, and prints the result as JSON.
local file = os.getenv("BODY")
if file then
  wrk.method = "POST"
  local f = assert(io.open(file, "rb"))
  wrk.body = f:read("*a")
  f:close()
end
wrk.headers["Content-Type"] = os.getenv("CONTENT_TYPE") or "application/json"
for name, value in (os.getenv("HEADERS") or ""):gmatch("([^:\n]+):([^\n]+)") do
  wrk.headers[name] = value
end

if os.getenv("CHANGING") then
  local count = 0
  request = function()
    count = count + 1
    wrk.headers["X-Request-ID"] = "request-" .. count
    wrk.headers["X-Trace"] = string.rep("0123456789abcdef", count % 7)
    return wrk.format()
  end
end

done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
