"""A task from its creation to its end, as an application drives it."""


def kinds(workspace, task):
    return [event.event_type for event in workspace.events.list(task_sid=task.sid)]


def test_a_task_is_accepted_wrapped_up_and_completed(workspace, activities, worker):
    task = workspace.tasks.create(attributes='{"lang": "de"}')
    resource = workspace.tasks(task.sid)
    reservation, = worker.reservations.list(reservation_status="pending")
    assert resource.fetch().assignment_status == "reserved"
    assert worker.worker_channels("default").fetch().available_capacity_percentage == 0

    offer = worker.reservations(reservation.sid)
    assert offer.update(reservation_status="accepted").reservation_status == "accepted"
    assert resource.fetch().assignment_status == "assigned"
    assert worker.worker_channels("default").fetch().assigned_tasks == 1

    assert resource.update(assignment_status="wrapping", reason="talked").assignment_status == "wrapping"
    assert offer.fetch().reservation_status == "wrapping"
    done = resource.update(assignment_status="completed", reason="solved")
    assert (done.assignment_status, done.reason) == ("completed", "solved")
    assert offer.fetch().reservation_status == "completed"
    channel = worker.worker_channels("default").fetch()
    assert (channel.assigned_tasks, channel.available_capacity_percentage) == (0, 100)

    told = kinds(workspace, task)
    order = [told.index(kind) for kind in (
        "task.created", "task-queue.entered", "reservation.created", "reservation.accepted", "task.wrapup",
        "task.completed", "reservation.completed",
    )]
    assert order == sorted(order), told


def test_a_rejected_task_waits_for_the_next_worker(workspace, activities, worker):
    task = workspace.tasks.create()
    reservation, = worker.reservations.list()
    rejected = worker.reservations(reservation.sid).update(
        reservation_status="rejected", worker_activity_sid=activities.unavailable
    )
    assert rejected.reservation_status == "rejected"
    assert worker.fetch().activity_name == "Unavailable"
    assert workspace.tasks(task.sid).fetch().assignment_status == "pending"
    second = workspace.workers.create(friendly_name="second", activity_sid=activities.available)
    offers = workspace.tasks(task.sid).reservations.list(reservation_status="pending")
    assert [offer.worker_sid for offer in offers] == [second.sid]


def test_urgent_tasks_are_offered_first(workspace, activities, worker):
    worker.update(activity_sid=activities.offline)
    tasks = [workspace.tasks.create(priority=priority) for priority in (0, 10, 5)]
    worker.update(activity_sid=activities.available)
    for expected in (1, 2, 0):
        offer, = worker.reservations.list(reservation_status="pending")
        assert offer.task_sid == tasks[expected].sid
        worker.reservations(offer.sid).update(reservation_status="accepted")
        worker.reservations(offer.sid).update(reservation_status="completed")


def test_pending_reservations_are_rejected_when_the_worker_leaves(workspace, activities, worker):
    task = workspace.tasks.create()
    worker.update(activity_sid=activities.offline, reject_pending_reservations=True)
    assert [offer.reservation_status for offer in worker.reservations.list()] == ["rejected"]
    assert workspace.tasks(task.sid).fetch().assignment_status == "pending"


def test_a_rescinded_offer_can_no_longer_be_accepted(workspace, activities, worker):
    from conftest import fails

    second = workspace.workers.create(friendly_name="second", activity_sid=activities.available)
    workspace.task_queues(workspace.task_queues.list()[0].sid).update(max_reserved_workers=2)
    task = workspace.tasks.create()
    offers = workspace.tasks(task.sid).reservations
    assert len(offers.list(reservation_status="pending")) == 2
    worker.reservations(worker.reservations.list()[0].sid).update(reservation_status="accepted")
    late, = workspace.workers(second.sid).reservations.list()
    assert late.reservation_status == "rescinded"
    fails(410, 20410, workspace.workers(second.sid).reservations(late.sid).update, reservation_status="accepted")
