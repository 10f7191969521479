-- Approve or reject a phase as it is now.
-- KEYS plan once
-- ARGV phase approved who why
-- RETURNS ok, more (another person must approve it too), missing, or why the answer does not count
-- USES time state phase once
if lost then return lost end
local id, who = ARGV[1], ARGV[3]
local def = phase_definition(id)
if not def then return 'missing' end
if not def.approval then return 'asks for no approval' end
local request = read_request(id, def, '')
local vote = {who = who, why = ARGV[4], at = now}

local function person(name)
  return string.match(name, '^[^@]*')
end

local function say(event)
  write_request(id, request)
  journal(event, '', who, ARGV[4], '{"phase":' .. id .. '}')
  refresh_phase(id)
end

if ARGV[2] ~= '1' then
  if request.asked == 0 then request.asked = now end
  request.yes, request.no, request.told = {}, vote, nil
  say('phase.rejected')
  advance_frontier()
  return once('ok')
end
if not awaits(tonumber(id)) then return 'approved already' end
local loader = request.author
-- After a no, said or by silence, a yes opens a new request.
if request.asked == 0 or request.no or is_expired(def, request) then
  request.asked, request.yes, request.no, request.told = now, {}, nil, nil
end
if (def.persons or 1) > 1 then
  if loader ~= '' and person(loader) == person(who) then
    return 'asks for others than ' .. loader .. ', who loaded it'
  end
  for _, other in ipairs(request.yes) do
    if person(other.who) == person(who) then return 'asks for another person: ' .. person(who) .. ' approved it' end
  end
end
table.insert(request.yes, vote)
local enough = #request.yes >= (def.persons or 1)
say(enough and 'phase.approved' or 'phase.endorsed')
if enough then wake('approval:' .. id) end
advance_frontier()
return once(enough and 'ok' or 'more')
