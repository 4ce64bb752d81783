-- Counts one more in each of KEYS, in their order, up to the first that is used up and not only tried; then in none.
--
-- ARGV has four words for each: how it counts, how much, over how long, and whether it is only tried ('1').
--   'window', the most, milliseconds: its value is 'number last this', the number of a window since 1970 from 1 on
--             and how many came in the window before it and in itself.
--   'period', the most, 1 for days or 2 for months by UTC: its value is 'number count', the number of a day since
--             1970 from 1 on, or of a month since year 0, and how many came in it.
--   'bucket', nanoseconds of the whole bucket, nanoseconds of one token: its value is 'seconds nanoseconds', when
--             the bucket will be full again.
-- The arithmetic is that of policy::limit::Rate. Numbers are doubles here, exact up to 2^53.
-- Answers the time in seconds and microseconds, and for each whether it was granted ('1' or '0') and what its value
-- was before.

local LATE = 16
local BEHIND = 1e9

local time = redis.call('TIME')
local second, micro = tonumber(time[1]), tonumber(time[2])
local milli = second * 1000 + math.floor(micro / 1000)

local function window(was, most, span)
  local number = math.floor(milli / span) + 1
  local into = milli % span
  local last, this = 0, 0
  local then_number, then_last, then_this = string.match(was, '^(%d+) (%d+) (%d+)$')
  if then_number then
    then_number, then_last, then_this = tonumber(then_number), tonumber(then_last), tonumber(then_this)
    if then_number == number then
      last, this = then_last, then_this
    elseif then_number == number - 1 then
      last = then_this
    elseif then_number > number and then_number <= number + LATE then
      number, into, last, this = then_number, 0, then_last, then_this
    end
  end
  local granted = this + math.ceil(last * (span - into) / span) < most
  local value = string.format('%.0f %.0f %.0f', number, last, this + 1)
  return granted, value, (number + 1) * span - milli
end

local function bucket(was, room, interval)
  local ahead = 0
  local at, and_nanos = string.match(was, '^(%d+) (%d+)$')
  if at then
    ahead = math.max((tonumber(at) - second) * 1e9 + tonumber(and_nanos) - micro * 1e3, 0)
    if ahead > room + BEHIND then
      ahead = room
    end
  end
  ahead = ahead + interval
  local nanos = micro * 1e3 + ahead
  local value = string.format('%.0f %.0f', second + math.floor(nanos / 1e9), nanos % 1e9)
  return ahead <= room, value, math.ceil(ahead / 1e6)
end

-- Days from 1970 to the first of a year.
local function days_before(year)
  local last = year - 1
  local leaps = math.floor(last / 4) - math.floor(last / 100) + math.floor(last / 400) - 477
  return 365 * (year - 1970) + leaps
end

-- The number of the month in which a day since 1970 lies, and the first day behind it.
local function month_of(day)
  local year = 1970 + math.floor(day / 366)
  while days_before(year + 1) <= day do
    year = year + 1
  end
  local is_leap = days_before(year + 1) - days_before(year) == 366
  local lengths = { 31, is_leap and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  local behind = days_before(year)
  for month, length in ipairs(lengths) do
    behind = behind + length
    if day < behind then
      return year * 12 + month, behind
    end
  end
end

local function period(was, most, kind)
  local number, behind = math.floor(second / 86400) + 1, nil
  if kind == 2 then
    number, behind = month_of(number - 1)
  else
    behind = number
  end
  local count = 0
  local then_number, then_count = string.match(was, '^(%d+) (%d+)$')
  then_number = tonumber(then_number)
  if then_number == number then
    count = tonumber(then_count)
  elseif then_number == number + 1 then
    number, count = then_number, tonumber(then_count)
    if kind == 2 then
      local _, after = month_of(behind)
      behind = after
    else
      behind = behind + 1
    end
  end
  local lasts = behind * 86400000 - milli
  return count < most, string.format('%.0f %.0f', number, count + 1), lasts
end

local counts = { window = window, bucket = bucket, period = period }
local answer = { time[1], time[2] }
local values = {}
for i, key in ipairs(KEYS) do
  local at = 4 * i - 4
  local much, long = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local was = redis.call('GET', key) or ''
  local granted, value, lasts = counts[ARGV[at + 1]](was, much, long)
  answer[i + 2] = (granted and '1 ' or '0 ') .. was
  if granted then
    values[#values + 1] = { key, value, string.format('%.0f', math.max(lasts, 1)) }
  elseif ARGV[at + 4] ~= '1' then
    return answer
  end
end
for _, one in ipairs(values) do
  redis.call('SET', one[1], one[2], 'PX', one[3])
end
return answer
