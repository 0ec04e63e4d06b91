-- Asks Countersign about a request before HAProxy passes it on. For HAProxy 2.6 and later; see ../haproxy.md.
--
--   http-request lua.countersign http://127.0.0.1:8787/authz?scope=…&account=…
--   http-request deny deny_status 503 unless { var(txn.countersign) -m str granted }
--
-- The second line is what lets in: an error in this file does not stop HAProxy from going on. `granted` is said last, after
-- a whole 200. Every other answer of the door ends the request here.

-- Who it is. A door says all six, so an answer without one of them is not a door's.
local IDENTITY = {
    "x-countersign-account",
    "x-countersign-token",
    "x-countersign-kind",
    "x-countersign-name",
    "x-countersign-scopes",
    "x-countersign-organizations",
}

-- Who it is, signed, where the door is asked for that.
local ASSERTION = "cf-access-jwt-assertion"

-- What of the client's headers the door is shown. Whatever else a client says of its request is not asked for: the method,
-- the path and the address come from HAProxy.
local SHOWN = {
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-token",
    "cookie",
    "user-agent",
}

-- What of a refusal the client is shown.
local TOLD = {
    "cache-control",
    "content-type",
    "www-authenticate",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
}

-- What a client that is let in is told, too: haproxy.cfg adds it to the answer of the app.
local NOTICES = {
    ["deprecation"] = "txn.countersign_deprecation",
    ["sunset"] = "txn.countersign_sunset",
    ["ratelimit"] = "txn.countersign_ratelimit",
    ["ratelimit-policy"] = "txn.countersign_ratelimit_policy",
}

-- Refusals that are passed on as they are. Anything else that is no 200 closes with 503.
local REFUSALS = { [401] = true, [403] = true, [429] = true }

-- Longest wait for the door, in milliseconds. HAProxy asks up to four times.
local PATIENCE = 1250

-- The one value of a header; nil when there is none, or more than one.
local function only(headers, name)
    local values = headers and headers[name]
    if values == nil or values[1] ~= nil then
        return nil
    end
    return values[0]
end

-- The headers of the question. A header that came more than once is shown twice: that is enough for the door to refuse it,
-- and nobody fills the request until something that matters finds no room.
local function question(txn)
    local sent = txn.http:req_get_headers()
    local headers = {
        ["x-original-method"] = { txn.f:method() },
        ["x-original-uri"] = { txn.f:pathq() },
        -- A client without one, behind a Unix socket, must not pass for this machine.
        ["x-forwarded-for"] = { txn.f:src() or "unknown" },
    }
    for _, name in ipairs(SHOWN) do
        local values = sent[name]
        if values ~= nil then
            headers[name] = { values[0], values[1] }
        end
    end
    return headers
end

-- Closed, and worth trying again: the door is not ready, cannot be asked, or is no door.
local function close(txn, answer)
    txn:done(txn:reply {
        status = 503,
        headers = {
            ["cache-control"] = { "no-store" },
            ["content-type"] = { "application/json" },
            ["retry-after"] = { only(answer.headers, "retry-after") or "1" },
        },
        body = '{"error":"temporarily_unavailable"}',
    })
end

local function refuse(txn, answer)
    local headers = {}
    for _, name in ipairs(TOLD) do
        local value = only(answer.headers, name)
        if value ~= nil then
            headers[name] = { value }
        end
    end
    txn:done(txn:reply { status = answer.status, headers = headers, body = answer.body or "" })
end

local function grant(txn, answer)
    local identity = {}
    for _, name in ipairs(IDENTITY) do
        identity[name] = only(answer.headers, name)
        if identity[name] == nil then
            return close(txn, answer)
        end
    end
    identity[ASSERTION] = only(answer.headers, ASSERTION)
    for name, value in pairs(identity) do
        txn.http:req_set_header(name, value)
    end
    for name, variable in pairs(NOTICES) do
        local value = only(answer.headers, name)
        if value ~= nil then
            txn:set_var(variable, value)
        end
    end
    txn:set_var("txn.countersign", "granted")
end

local function ask(txn, url)
    local answer = core.httpclient():get { url = url, headers = question(txn), timeout = PATIENCE }
    if answer.status == 200 then
        return grant(txn, answer)
    end
    if REFUSALS[answer.status] then
        return refuse(txn, answer)
    end
    return close(txn, answer)
end

core.register_action("countersign", { "http-req" }, ask, 1)
