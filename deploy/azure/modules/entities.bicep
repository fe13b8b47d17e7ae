// The shape of components/servicebus.json. The compiler takes any JSON file; these types make Azure refuse unknown and missing fields before
// it makes anything, with the place. The same shape is in bridge/entities, which reads the list locally.

@export()
@sealed()
type namespaceList = {
  // The emulator's name for its one namespace. The name on Azure is made in main.bicep.
  Name: string?
  Queues: queueEntity[]?
  Topics: topicEntity[]?
}

@sealed()
type queueEntity = {
  @minLength(1)
  @maxLength(260)
  Name: string
  Properties: queueProperties?
}

@sealed()
type topicEntity = {
  @minLength(1)
  @maxLength(260)
  Name: string
  Properties: topicProperties?
  Subscriptions: subscriptionEntity[]?
}

@sealed()
type subscriptionEntity = {
  // Service Bus allows fewer characters here than for queues and topics.
  @minLength(1)
  @maxLength(50)
  Name: string
  Properties: subscriptionProperties?
  Rules: subscriptionRule[]?
}

@sealed()
type queueProperties = {
  DeadLetteringOnMessageExpiration: bool?
  DefaultMessageTimeToLive: string?
  LockDuration: string?
  @minValue(1)
  @maxValue(2147483647)
  MaxDeliveryCount: int?
  ForwardTo: string?
  ForwardDeadLetteredMessagesTo: string?
  RequiresSession: bool?
  RequiresDuplicateDetection: bool?
  DuplicateDetectionHistoryTimeWindow: string?
}

@sealed()
type topicProperties = {
  DefaultMessageTimeToLive: string?
  RequiresDuplicateDetection: bool?
  DuplicateDetectionHistoryTimeWindow: string?
}

@sealed()
type subscriptionProperties = {
  DeadLetteringOnMessageExpiration: bool?
  DefaultMessageTimeToLive: string?
  LockDuration: string?
  @minValue(1)
  @maxValue(2147483647)
  MaxDeliveryCount: int?
  ForwardTo: string?
  ForwardDeadLetteredMessagesTo: string?
  RequiresSession: bool?
}

@sealed()
type subscriptionRule = {
  @minLength(1)
  @maxLength(50)
  Name: string
  Properties: ruleProperties
}

@discriminator('FilterType')
type ruleProperties = correlationRule | sqlRule

@sealed()
type correlationRule = {
  FilterType: 'Correlation'
  CorrelationFilter: correlationFields
  Action: sqlText?
}

@sealed()
type sqlRule = {
  FilterType: 'Sql'
  SqlFilter: sqlText
  Action: sqlText?
}

@sealed()
type correlationFields = {
  ContentType: string?
  CorrelationId: string?
  Label: string?
  MessageId: string?
  ReplyTo: string?
  ReplyToSessionId: string?
  SessionId: string?
  To: string?
  // The names and values that messages carry themselves.
  Properties: object?
}

@sealed()
type sqlText = {
  @minLength(1)
  @maxLength(1024)
  SqlExpression: string
}

@export()
@description('A subscription with its topic. `source` is what receivers call it, `topic/subscription`.')
type placedSubscription = {
  topic: string
  name: string
  source: string
  properties: object
  rules: object[]
}

@export()
@description('All subscriptions of the list.')
func subscriptionsOf(list namespaceList) placedSubscription[] =>
  flatten(map(
    list.?Topics ?? [],
    topic =>
      map(topic.?Subscriptions ?? [], subscription => {
        topic: topic.Name
        name: subscription.Name
        source: '${topic.Name}/${subscription.Name}'
        properties: subscription.?Properties ?? {}
        rules: subscription.?Rules ?? []
      })
  ))
