// What is wrong between entities that are right by themselves. Each problem is a sentence that begins with the place. The names of all
// entities are compared in lower case, because Service Bus ignores case.
import { namespaceList, placedSubscription, subscriptionsOf } from 'entities.bicep'

@export()
@description('All problems of the list; none if Service Bus can take it.')
func problemsOf(list namespaceList) string[] =>
  concat(
    repeated('queue or topic', entityNames(list)),
    badNames(list),
    flatten(map(
      list.?Topics ?? [],
      topic => repeated('subscription of ${topic.Name}', map(topic.?Subscriptions ?? [], each => each.Name))
    )),
    flatten(map(
      subscriptionsOf(list),
      each => repeated('rule of ${each.source}', map(each.rules, rule => string(rule.Name)))
    )),
    flatten(map(subscriptionsOf(list), each => emptyFilters(each))),
    flatten(map(sourcesOf(list), each => unknownTargets(each, map(entityNames(list), name => toLower(name))))),
    flatten(map(sourcesOf(list), each => forwardingProblems(each))),
    flatten(map(concat(sourcesOf(list), topicsOf(list)), each => durationProblems(each))),
    tooManyHops(list),
    queuesTooEarly(list)
  )

type source = {
  name: string
  properties: object
}

func entityNames(list namespaceList) string[] =>
  concat(map(list.?Queues ?? [], queue => queue.Name), map(list.?Topics ?? [], topic => topic.Name))

@description('What messages are received from: queues and subscriptions.')
func sourcesOf(list namespaceList) source[] =>
  concat(
    map(list.?Queues ?? [], queue => { name: queue.Name, properties: queue.?Properties ?? {} }),
    map(subscriptionsOf(list), each => { name: each.source, properties: each.properties })
  )

func topicsOf(list namespaceList) source[] =>
  map(list.?Topics ?? [], topic => { name: topic.Name, properties: topic.?Properties ?? {} })

func repeated(what string, names string[]) string[] =>
  map(
    filter(items(groupBy(names, name => toLower(name))), group => length(group.value) > 1),
    group => '${group.key}: more than one ${what} has this name (case does not matter); give each its own.'
  )

@description('Names of queues, topics and subscriptions: they stand in addresses, and `/` stands between topic and subscription.')
func badNames(list namespaceList) string[] =>
  map(
    filter(
      concat(entityNames(list), map(subscriptionsOf(list), each => each.name)),
      name =>
        !onlyOf(toLower(name), 'abcdefghijklmnopqrstuvwxyz0123456789._-') || contains('._-', first(name)) || contains(
          '._-',
          last(name)
        )
    ),
    name =>
      '"${name}": a name has letters, digits, dots, hyphens and underscores, and begins and ends with a letter or digit.'
  )

func emptyFilters(each placedSubscription) string[] =>
  map(
    filter(
      each.rules,
      rule => contains(rule.Properties, 'CorrelationFilter') && empty(rule.Properties.CorrelationFilter)
    ),
    rule =>
      '${each.source}, rule ${rule.Name}: the filter names no field; name one, or leave the rule out to take every message.'
  )

func unknownTargets(each source, known string[]) string[] =>
  map(
    filter(targets(each.properties), target => !contains(known, toLower(target.value))),
    target =>
      '${each.name}: ${target.key} names ${target.value}, which is neither a queue nor a topic here; correct it.'
  )

@description('The entities that messages or dead letters go on to, with the name of the field. Empty means none.')
func targets(properties object) { key: string, value: string }[] =>
  filter(
    [
      { key: 'ForwardTo', value: string(properties.?ForwardTo ?? '') }
      { key: 'ForwardDeadLetteredMessagesTo', value: string(properties.?ForwardDeadLetteredMessagesTo ?? '') }
    ],
    target => !empty(target.value)
  )

func forwardingProblems(each source) string[] =>
  bool(each.properties.?RequiresSession ?? false) && !empty(string(each.properties.?ForwardTo ?? ''))
    ? [
        '${each.name}: it has RequiresSession and ForwardTo, and Service Bus does not forward from sessions; remove one of the two.'
      ]
    : []

@description('Durations are those of ISO 8601 and longer than nothing; a lock lasts five minutes at most.')
func durationProblems(each source) string[] =>
  concat(
    map(
      filter(durations(each.properties), found => !isDuration(found.value)),
      found =>
        '${each.name}: ${found.key} is ${found.value}, which is not a duration; write it as in ISO 8601, like PT1M or P7D.'
    ),
    map(
      filter(
        durations(each.properties),
        found => found.key == 'LockDuration' && isDuration(found.value) && isOverFiveMinutes(found.value)
      ),
      found => '${each.name}: LockDuration is ${found.value}; the longest is PT5M, and receivers renew it.'
    )
  )

@description('Days stand before the T; hours, minutes and seconds after it; something is more than zero.')
func isDuration(text string) bool =>
  startsWith(text, 'P') && endsWithUnit(text) && !onlyOf(text, 'PDTHMS0.') && !contains(text, 'TT') && onlyOf(
    split(text, 'T')[0],
    'P0123456789D'
  ) && onlyOf(join(skip(split(text, 'T'), 1), 'T'), '0123456789.HMS')

func endsWithUnit(text string) bool => contains(['D', 'H', 'M', 'S'], last(text))

func isOverFiveMinutes(duration string) bool => contains(duration, 'D') || seconds(duration) > 300

func characters(text string) string[] => map(range(0, length(text)), at => substring(text, at, 1))

@export()
@description('Whether a text has no characters but these.')
func onlyOf(text string, allowed string) bool => empty(filter(characters(text), each => !contains(allowed, each)))

func durations(properties object) { key: string, value: string }[] =>
  map(
    filter(
      items(properties),
      each => contains(['LockDuration', 'DefaultMessageTimeToLive', 'DuplicateDetectionHistoryTimeWindow'], each.key)
    ),
    each => { key: each.key, value: string(each.value) }
  )

func seconds(duration string) int =>
  dateTimeToEpoch(dateTimeAdd('2000-01-01T00:00:00Z', duration)) - dateTimeToEpoch('2000-01-01T00:00:00Z')

@description('Service Bus forwards a message four times. A circle never ends, so it is found too.')
func tooManyHops(list namespaceList) string[] =>
  map(
    filter(entityNames(list), name => !empty(afterFiveHops(onward(list), name))),
    name => '${name}: ForwardTo leads on more than four times, or in a circle; shorten it.'
  )

func afterFiveHops(forwards object, name string) string[] =>
  reduce(range(0, 5), [toLower(name)], (names, hop) => union(flatten(map(names, each => forwards[?each] ?? [])), []))

@description('Where each queue or topic forwards its messages, all names in lower case.')
func onward(list namespaceList) object =>
  mapValues(
    groupBy(
      filter(sourcesOf(list), each => !empty(string(each.properties.?ForwardTo ?? ''))),
      each => toLower(split(each.name, '/')[0])
    ),
    group => union(map(group, each => toLower(string(each.properties.ForwardTo))), [])
  )

@description('Queues are made one after the other, and one that is forwarded to must be there.')
func queuesTooEarly(list namespaceList) string[] =>
  flatten(map(
    range(0, length(list.?Queues ?? [])),
    at =>
      map(
        filter(
          targets(list.?Queues[?at].?Properties ?? {}),
          target => contains(map(skip(list.?Queues ?? [], at), queue => toLower(queue.Name)), toLower(target.value))
        ),
        target =>
          '${list.?Queues[?at].Name}: ${target.key} names ${target.value}, which comes no earlier in the list; move it up.'
      )
  ))
