// tsyringe needs the metadata API before it is loaded, so nobody imports tsyringe but through here. Plugins get it from
// @mars/brick-core for the same reason, and because a second copy of tsyringe would have a registry of its own.
import 'reflect-metadata';

export { container, inject, injectable, type DependencyContainer, type InjectionToken } from 'tsyringe';
