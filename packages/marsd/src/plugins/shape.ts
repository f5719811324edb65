import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';

/** The first thing that is wrong with a document, and where. */
export interface ShapeProblem {
  path: (string | number)[];
  message: string;
}

const ajv = new Ajv({ strict: false });

const allowList = ajv.compile({
  type: 'object',
  required: ['mars'],
  additionalProperties: false,
  properties: {
    mars: { const: 1 },
    allow: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name'],
        additionalProperties: false,
        properties: { name: { type: 'string', minLength: 1 }, version: { type: 'string', minLength: 1 } },
      },
    },
  },
});

const manifest = ajv.compile({
  type: 'object',
  required: ['api', 'bricks'],
  properties: {
    api: { type: 'integer' },
    bricks: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['type', 'module', 'export'],
        properties: {
          type: { type: 'string', minLength: 1 },
          module: { type: 'string', pattern: '^\\./' },
          export: { type: 'string', minLength: 1 },
        },
      },
    },
  },
});

/** Checks of the two documents that a plugin directory holds; `null` = all is well. */
export const shapes = {
  allowList: (value: unknown): ShapeProblem | null => firstProblem(allowList, value),
  manifest: (value: unknown): ShapeProblem | null => firstProblem(manifest, value),
};

function firstProblem(validate: ValidateFunction, value: unknown): ShapeProblem | null {
  if (validate(value)) return null;
  const error: ErrorObject = validate.errors![0]!;
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
  const where = path.length === 0 ? '' : `"${path.join('.')}" `;
  const extra = error.keyword === 'additionalProperties' ? ` ("${String(error.params.additionalProperty)}")` : '';
  return { path, message: `${where}${error.message ?? 'is wrong'}${extra}` };
}
