-- wrk: sixteen requests at once on each connection, runs among them.
local requests

function init()
    local all = {}
    for n = 1, 16 do
        if n % 4 == 0 then
            all[n] = wrk.format("POST", "/run", { ["Content-Type"] = "application/json" }, '{"value":{"a":"x"}}')
        else
            all[n] = wrk.format("GET", "/healthz")
        end
    end
    requests = table.concat(all)
end

function request()
    return requests
end

function done(summary)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("requests %d failed %d\n", summary.requests, failed))
end
