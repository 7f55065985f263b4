-- Reads one of a thousand secrets a request from OpenBao: wrk -s secrets.lua URL -- TOKEN
function init(args)
   wrk.headers["X-Vault-Token"] = args[1]
   number = 0
end
function request()
   number = (number + 617) % 1000
   return wrk.format("GET", "/v1/secret/s" .. number)
end
