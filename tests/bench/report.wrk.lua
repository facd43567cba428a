-- wrk's findings as one line that a program can read.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "\nFOUND %d %d %d %f %f %d\n",
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.timeout + e.status))
end
