// The standard reflection service (grpc.reflection.v1), so that grpcurl and the like need no .proto files. An option, off by default. Loaded only
// when it is on: the descriptors cost memory. Its library counterpart reads .proto files from disk, which a single executable does not have.
import { createFileRegistry, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { descriptorSet } from '../../gen/descriptors.ts';
import { type ServerReflectionRequest, type ServerReflectionResponse, ServerReflectionService } from '../../gen/reflection.ts';
import type { Service } from './server.ts';

type Call = ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
type Answer = ServerReflectionResponse['messageResponse'];

/** The service under its current name and under the older one that many clients still ask first; the messages are the same. */
export function reflectionServices(services: readonly string[]): readonly Service[] {
  const answer = answersFrom(services);
  const serverReflectionInfo = (call: Call) => {
    call.on('error', () => {});
    call.on('data', (request) => call.write({ validHost: request.host, originalRequest: request, messageResponse: answer(request) }));
    call.on('end', () => call.end());
  };
  const { serverReflectionInfo: method } = ServerReflectionService;
  const older = { ...method, path: '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo' };
  return [
    { definition: ServerReflectionService, handlers: { serverReflectionInfo } },
    { definition: { serverReflectionInfo: older }, handlers: { serverReflectionInfo } },
  ];
}

function answersFrom(services: readonly string[]): (request: ServerReflectionRequest) => Answer {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')));
  const files = [...registry.files];
  return ({ messageRequest }) => {
    switch (messageRequest?.$case) {
      case 'listServices':
        return { $case: 'listServicesResponse', value: { service: services.map((name) => ({ name })) } };
      case 'fileByFilename':
        return fileAnswer(files.find((file) => file.proto.name === messageRequest.value));
      case 'fileContainingSymbol':
        return fileAnswer(files.find((file) => holds(file, messageRequest.value)));
      case 'allExtensionNumbersOfType':
      case 'fileContainingExtension':
        return errorAnswer(status.NOT_FOUND, 'there are no extensions here');
      case undefined:
        return errorAnswer(status.INVALID_ARGUMENT, 'nothing is asked');
    }
  };
}

/** A symbol is a service, a method of one, a message or an enum, by its full name. */
function holds(file: DescFile, symbol: string): boolean {
  return (
    file.services.some((s) => s.typeName === symbol || s.methods.some((m) => `${s.typeName}.${m.name}` === symbol)) ||
    file.messages.some((m) => symbol === m.typeName || symbol.startsWith(`${m.typeName}.`)) ||
    file.enums.some((e) => e.typeName === symbol)
  );
}

// No file of ours imports another one, so a file comes alone.
function fileAnswer(file: DescFile | undefined): Answer {
  if (file === undefined) return errorAnswer(status.NOT_FOUND, 'no such file or symbol here');
  return {
    $case: 'fileDescriptorResponse',
    value: { fileDescriptorProto: [Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto))] },
  };
}

function errorAnswer(errorCode: number, errorMessage: string): Answer {
  return { $case: 'errorResponse', value: { errorCode, errorMessage } };
}
