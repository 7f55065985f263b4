-- Sends signed requests from a file, one a line, each once: wrk -s releases.lua URL -- FILE THREADS
local count = 0
function setup(thread)
   thread:set("number", count)
   count = count + 1
end
function init(args)
   bodies, place = {}, 0
   local threads, line_number = tonumber(args[2]), 0
   for line in io.lines(args[1]) do
      if line_number % threads == number then bodies[#bodies + 1] = line .. "\n" end
      line_number = line_number + 1
   end
end
function request()
   place = place + 1
   -- Used up: whoever reads the result sees what was refused.
   if place > #bodies then return wrk.format("GET", "/none") end
   return wrk.format("POST", "/v1/fetch", nil, bodies[place])
end
