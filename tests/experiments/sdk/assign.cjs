// What the SDKs say: configurations and units on stdin, for each configuration the variant of each unit on stdout
// (-1: none). The modules are looked for in NODE_PATH.
"use strict";
const { GrowthBook } = require("@growthbook/growthbook");
const { selectVariantDefinition } = require("unleash-client/lib/variant");
const { default: FlexibleRollout } = require("unleash-client/lib/strategy/flexible-rollout-strategy");

function growthbook(config) {
  const sdk = new GrowthBook();
  const experiment = {
    key: config.seed,
    seed: config.seed,
    hashAttribute: "id",
    hashVersion: config.version,
    variations: config.owners,
    namespace: config.namespace,
    ...(config.ranges ? { ranges: config.ranges } : { weights: config.weights, coverage: config.coverage }),
  };
  return (unit) => {
    sdk.setAttributes({ id: unit });
    const result = sdk.run(experiment);
    return result.inExperiment ? result.value : -1;
  };
}

function unleash(config) {
  const rollout = new FlexibleRollout();
  const parameters = { groupId: config.seed, rollout: config.percent, stickiness: "userId" };
  const variants = config.weights.map((weight, name) => ({ name, weight }));
  return (unit) => {
    const context = { userId: unit };
    if (!rollout.isEnabled(parameters, context)) return -1;
    return selectVariantDefinition(config.seed, "userId", variants, context).name;
  };
}

const { configs, units } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const results = configs.map((config) => units.map(config.sdk === "unleash" ? unleash(config) : growthbook(config)));
process.stdout.write(JSON.stringify(results), () => process.exit(0));
