// The namespace with all queues, topics, subscriptions and rules of the list. It has no access keys: everybody comes with an identity.
import { namespaceList, subscriptionsOf } from 'entities.bicep'
import { problemsOf } from 'listchecks.bicep'

param name string
param location string
param sku 'Standard' | 'Premium'
param list namespaceList

var problems = problemsOf(list)
var checked = empty(problems) ? list : fail('components/servicebus.json: ${join(problems, ' ')}')
var queues = checked.?Queues ?? []
var topics = checked.?Topics ?? []
var subscriptions = subscriptionsOf(checked)

// With rules of its own a subscription gets a $Default that takes nothing: Service Bus gives each new subscription one that takes everything.
var rules = flatten(map(
  range(0, length(subscriptions)),
  at =>
    map(
      empty(subscriptions[at].rules) ? [] : concat([takesNothing], subscriptions[at].rules),
      rule => { subscription: at, name: string(rule.Name), properties: rule.Properties }
    )
))
var takesNothing = { Name: '$Default', Properties: { FilterType: 'Sql', SqlFilter: { SqlExpression: '1=0' } } }

@description('The fields of the list as Azure writes them: the first letter small, and nothing where a field is empty.')
func camel(properties object) object =>
  toObject(
    filter(items(properties), each => !empty(string(each.value))),
    each => '${toLower(substring(each.key, 0, 1))}${substring(each.key, 1)}',
    each => each.value
  )

@description('The properties of a rule. The names of a filter\'s own Properties stay as they are: they are those of messages.')
func ruleOf(properties object) object =>
  union(
    { filterType: '${properties.FilterType}Filter' },
    contains(properties, 'SqlFilter') ? { sqlFilter: camel(properties.SqlFilter) } : {},
    contains(properties, 'CorrelationFilter') ? { correlationFilter: camel(properties.CorrelationFilter) } : {},
    contains(properties, 'Action') ? { action: camel(properties.Action) } : {}
  )

resource bus 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: name
  location: location
  sku: union({ name: sku, tier: sku }, sku == 'Premium' ? { capacity: 1 } : {})
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource topic_ 'Microsoft.ServiceBus/namespaces/topics@2026-01-01' = [
  for topic in topics: {
    parent: bus
    name: topic.Name
    properties: camel(topic.?Properties ?? {})
  }
]

// One after the other, in the order of the list: a queue that another one forwards to must be there.
@batchSize(1)
resource queue_ 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' = [
  for queue in queues: {
    parent: bus
    name: queue.Name
    properties: camel(queue.?Properties ?? {})
    dependsOn: [topic_]
  }
]

resource subscription_ 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' = [
  for each in subscriptions: {
    name: '${name}/${each.source}'
    properties: camel(each.properties)
    dependsOn: [queue_, topic_]
  }
]

// One after the other: $Default must take nothing before the first rule of its subscription takes something.
@batchSize(1)
resource rule_ 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2026-01-01' = [
  for rule in rules: {
    parent: subscription_[rule.subscription]
    name: rule.name
    properties: ruleOf(rule.properties)
  }
]
