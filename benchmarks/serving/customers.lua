-- Every request goes to a customer drawn at random. The one argument is a file: a path, a space and a body on each line.
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("seed", threads)
end

function init(args)
   requests = {}
   for line in io.lines(args[1]) do
      local path, body = line:match("^(%S+) (.*)$")
      requests[#requests + 1] = wrk.format("POST", path, {["Content-Type"] = "application/json"}, body)
   end
   math.randomseed(seed)
end

function request()
   return requests[math.random(#requests)]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50 ms": %.3f, "p90 ms": %.3f, "p99 ms": %.3f, "max ms": %.3f, ' ..
      '"refused": %d, "broken": %d, "wrong status": %d, "timed out": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
      latency:percentile(99) / 1e3, latency.max / 1e3,
      errors.connect, errors.read + errors.write, errors.status, errors.timeout))
end
